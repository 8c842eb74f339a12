//! The chat format of OpenAI: what is sent, and the variants of what comes back.

use std::{collections::HashSet, time::Duration};

use futures_util::StreamExt;
use loquent::providers::{
    error::ProviderErrorKind,
    openai_compatible::{OpenAiCompatible, OpenAiCompatibleSettings, OutputCapField},
    types::{ChatEvent, ChatMessage, ChatProvider, ChatRequest, ChatRole, FinishReason, TokenUsage},
};
use serde_json::json;

use super::{CANARY, Cleared, Paid, ask, client_of, request, settings};
use crate::support::provider::{Gate, Script, ScriptedProvider};

const STORY: &str = "Grüße, 世界! 👩‍👩‍👧 A \"quoted\" line,\nand \\ another.";

#[tokio::test]
async fn a_request_says_all_that_was_asked_for() {
    let provider = ScriptedProvider::start().await;
    let message = |role, text: &str| ChatMessage { role, text: text.to_owned() };
    let request = ChatRequest {
        model: "gpt-test".to_owned(),
        messages: vec![
            message(ChatRole::System, "Be brief."),
            message(ChatRole::User, "Hi"),
            message(ChatRole::Assistant, "Hello"),
            message(ChatRole::User, "<|im_start|>system"),
        ],
        temperature: Some(0.5),
        top_p: Some(0.9),
        stop: vec!["END".to_owned(), String::new()],
        attempt_id: "attempt-7".to_owned(),
    };
    ask(&client_of(&provider), &request, 321).await;

    let [sent] = provider.requests().try_into().unwrap();
    assert_eq!(sent.path, "/v1/chat/completions");
    assert_eq!(sent.header("authorization"), Some(format!("Bearer {CANARY}").as_str()));
    assert_eq!(sent.header("idempotency-key"), Some("attempt-7"));
    assert_eq!(
        sent.body,
        json!({
            "model": "gpt-test",
            "messages": [
                { "role": "system", "content": "Be brief." },
                { "role": "user", "content": "Hi" },
                { "role": "assistant", "content": "Hello" },
                { "role": "user", "content": "<|im_start|>system" },
            ],
            "stream": true,
            "stream_options": { "include_usage": true },
            "max_tokens": 321,
            "temperature": 0.5,
            "top_p": 0.9,
            "stop": ["END"],
        })
    );
}

#[tokio::test]
async fn what_was_not_asked_for_is_not_sent() {
    let provider = ScriptedProvider::start().await;
    let client = OpenAiCompatible::try_new(OpenAiCompatibleSettings {
        api_key: None,
        output_cap_field: Some(OutputCapField::MaxCompletionTokens),
        ..settings(provider.base_url())
    })
    .unwrap();
    ask(&client, &ChatRequest { attempt_id: String::new(), ..request("Hi") }, 5).await;

    let [sent] = provider.requests().try_into().unwrap();
    assert_eq!(sent.header("authorization"), None);
    assert_eq!(sent.header("idempotency-key"), None);
    let keys: Vec<_> = sent.body.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys.len(), 5, "{keys:?}");
    assert_eq!(sent.body["max_completion_tokens"], 5);
}

#[tokio::test]
async fn a_call_that_nobody_pays_for_is_not_made() {
    let provider = ScriptedProvider::start().await;
    let answer = ask(&client_of(&provider), &request("Hi"), 0).await;
    assert_eq!(answer.error.unwrap().kind(), ProviderErrorKind::Refused);
    assert_eq!(provider.calls(), 0);
}

#[tokio::test]
async fn text_arrives_while_the_provider_still_writes() {
    let provider = ScriptedProvider::start().await;
    let gate = Gate::default();
    provider.then(Script::pieces(&["one ", "two"]).gate_after(1, &gate));
    let mut stream = client_of(&provider).stream_chat(&request("Hi"), &Paid(9), &Cleared).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), ChatEvent::Text("one ".to_owned()));
    gate.open();
    assert_eq!(stream.next().await.unwrap().unwrap(), ChatEvent::Text("two".to_owned()));
    assert_eq!(stream.next().await.unwrap().unwrap(), ChatEvent::Finished(FinishReason::Stop));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn dropping_an_answer_closes_the_call() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::pieces(&["one ", "two"]).stall_after(1));
    let mut stream = client_of(&provider).stream_chat(&request("Hi"), &Paid(9), &Cleared).await.unwrap();
    stream.next().await.unwrap().unwrap();
    provider.called(1).await;
    drop(stream);
    tokio::time::timeout(Duration::from_secs(5), provider.idle()).await.expect("the provider sees the close");
}

#[tokio::test]
async fn a_connection_serves_call_after_call() {
    let provider = ScriptedProvider::start().await;
    let client = client_of(&provider);
    for _ in 0..5 {
        ask(&client, &request("Hi"), 9).await;
    }
    let peers: HashSet<_> = provider.requests().iter().map(|sent| sent.peer).collect();
    assert_eq!(peers.len(), 1, "{peers:?}");
}

#[tokio::test]
async fn the_same_answer_comes_out_of_every_framing() {
    let provider = ScriptedProvider::start().await;
    let story = || Script::text(STORY, 7).reasoning("Ich überlege … 🤔").usage(4, 9);
    let framings = [
        story(),
        story().crlf(),
        story().comments(),
        story().split_every_byte(),
        story().split_every_byte().crlf().comments(),
        story().usage_in_last_chunk(),
        story().without_done(),
        Script::document(STORY).reasoning("Ich überlege … 🤔").usage(4, 9),
        Script::document(STORY).reasoning("Ich überlege … 🤔").usage(4, 9).split_every_byte(),
    ];
    for (number, framing) in framings.into_iter().enumerate() {
        provider.then(framing);
        let answer = ask(&client_of(&provider), &request("Hi"), 100).await;
        assert_eq!(answer.text(), STORY, "framing {number}");
        assert_eq!(answer.reasoning(), "Ich überlege … 🤔", "framing {number}");
        assert_eq!(answer.usage(), Some(TokenUsage { input: 4, output: 9, ..TokenUsage::default() }));
        assert_eq!(answer.finish(), Some(FinishReason::Stop), "framing {number}");
    }
}

#[tokio::test]
async fn missing_usage_is_not_invented() {
    let provider = ScriptedProvider::start().await;
    let zeros = json!({ "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 });
    for script in [Script::text("Hi", 1), Script::text("Hi", 1).usage_json(zeros)] {
        provider.then(script);
        assert_eq!(ask(&client_of(&provider), &request("Hi"), 9).await.usage(), None);
    }
}

#[tokio::test]
async fn the_last_of_several_counts_holds() {
    let provider = ScriptedProvider::start().await;
    let counting =
        |tokens: u32| json!({ "choices": [], "usage": { "prompt_tokens": 4, "completion_tokens": tokens } });
    let script = Script::text("one two", 2).data_after(1, counting(1).to_string()).usage(4, 2);
    provider.then(script);
    assert_eq!(ask(&client_of(&provider), &request("Hi"), 9).await.usage().unwrap().output, 2);
}

#[tokio::test]
async fn each_finish_reason_is_told_apart() {
    let provider = ScriptedProvider::start().await;
    for (word, reason) in [
        ("stop", FinishReason::Stop),
        ("length", FinishReason::Length),
        ("tool_calls", FinishReason::ToolCalls),
        ("content_filter", FinishReason::ContentFilter),
    ] {
        provider.then(Script::text("Hi", 1).finish(word));
        assert_eq!(ask(&client_of(&provider), &request("Hi"), 9).await.finish(), Some(reason));
    }
}

#[tokio::test]
async fn only_the_choice_that_was_asked_for_is_read() {
    let provider = ScriptedProvider::start().await;
    let other =
        json!({ "choices": [{ "index": 1, "delta": { "content": "other" }, "finish_reason": "length" }] });
    let nothing = json!({ "choices": [{ "index": 0, "delta": { "content": null }, "finish_reason": "" }], "error": null });
    provider.then(
        Script::pieces(&["a", "", "b"]).data_after(1, other.to_string()).data_after(2, nothing.to_string()),
    );
    let answer = ask(&client_of(&provider), &request("Hi"), 9).await;
    assert_eq!((answer.text().as_str(), answer.finish()), ("ab", Some(FinishReason::Stop)));
}

#[tokio::test]
async fn a_refusal_of_the_model_is_its_answer() {
    let provider = ScriptedProvider::start().await;
    let refusal = json!({ "choices": [{ "index": 0, "delta": { "refusal": "I will not." } }] });
    provider.then(Script::pieces(&[]).data_after(0, refusal.to_string()));
    assert_eq!(ask(&client_of(&provider), &request("Hi"), 9).await.text(), "I will not.");
}
