//! Failures, lies and traps of a provider that speaks the chat format of OpenAI.

use std::time::Duration;

use loquent::providers::{
    CallLimits,
    error::{MAX_DETAIL, ProviderErrorKind},
    openai_compatible::OpenAiCompatible,
    types::{ChatEvent, FinishReason},
};
use serde_json::json;
use tokio::net::TcpSocket;

use super::{Answer, CANARY, ask, client_of, client_with, limits, request, settings};
use crate::support::provider::{Gate, Script, ScriptedProvider};

const SOON: Duration = Duration::from_millis(300);

async fn answer_to(script: Script) -> Answer {
    let provider = ScriptedProvider::start().await;
    provider.always(script);
    let answer = ask(&client_of(&provider), &request("Hi"), 100).await;
    assert_eq!(provider.calls(), 1, "nothing is tried again");
    answer
}

fn kind(answer: &Answer) -> ProviderErrorKind {
    answer.error.as_ref().expect("an error").kind()
}

#[tokio::test]
async fn a_wish_to_wait_is_understood_in_seconds_and_as_a_date() {
    let date = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");
    let wait = |seconds| Some(Duration::from_secs(seconds));
    for (value, expected) in [
        ("7", wait(7)),
        ("0", wait(0)),
        ("1.5", Some(Duration::from_millis(1500))),
        ("Wed, 21 Oct 2015 07:28:30 GMT", wait(30)),
        ("Wed, 21 Oct 2015 07:00:00 GMT", wait(0)),
        ("Fri, 21 Oct 2022 07:28:00 GMT", wait(3600)),
        ("99999999999999999", wait(3600)),
        ("-5", None),
        ("NaN", None),
        ("soon", None),
    ] {
        let answer = answer_to(Script::status(429).header("retry-after", value).header(date.0, date.1)).await;
        assert_eq!(kind(&answer), ProviderErrorKind::RateLimited { retry_after: expected }, "{value}");
    }
    assert_eq!(
        kind(&answer_to(Script::status(429)).await),
        ProviderErrorKind::RateLimited { retry_after: None }
    );
}

#[tokio::test]
async fn words_of_a_refusal_reach_the_log_alone_and_without_the_key() {
    let body = format!("Incorrect API key {CANARY}\nforged log line {}", CANARY.repeat(2000));
    let answer = answer_to(Script::status(401).body(body)).await;
    let error = answer.error.as_ref().unwrap();
    assert_eq!(error.message(), "The model provider refused the request.");
    assert_eq!(error.to_string(), error.message());
    let detail = std::error::Error::source(error).unwrap().to_string();
    assert!(detail.starts_with("HTTP 401: Incorrect API key [key] forged"), "{detail}");
    assert!(detail.len() <= MAX_DETAIL && !detail.contains("sk-"), "{detail}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = ScriptedProvider::start().await;
    let target = format!("{}/chat/completions", elsewhere.base_url());
    let answer = answer_to(Script::status(307).header("location", target)).await;
    assert_eq!(kind(&answer), ProviderErrorKind::Refused);
    assert_eq!(elsewhere.calls(), 0, "the key stays where the operator sent it");
}

#[tokio::test]
async fn a_closed_port_is_a_fault() {
    // Bound but not listening: refuses connections, and nobody else can take the port meanwhile.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let base_url = format!("http://{}/v1", socket.local_addr().unwrap());
    let client = OpenAiCompatible::try_new(settings(&base_url)).unwrap();
    let answer = ask(&client, &request("Hi"), 9).await;
    assert_eq!(kind(&answer), ProviderErrorKind::Fault);
    assert!(answer.error.unwrap().is_retryable());
}

#[tokio::test]
async fn a_provider_that_never_begins_times_out() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::text("late", 1).gate(&Gate::default()));
    let client = client_with(&provider, CallLimits { response_head: SOON, ..limits() });
    assert_eq!(kind(&ask(&client, &request("Hi"), 9).await), ProviderErrorKind::Timeout);
    tokio::time::timeout(Duration::from_secs(5), provider.idle()).await.expect("the call was given up");
}

#[tokio::test]
async fn signs_of_life_do_not_outlast_the_total_limit() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::text("one two", 2).drip_after(1));
    // Each comment begins the idle limit anew.
    let client = client_with(&provider, CallLimits { total: Duration::from_secs(1), ..limits() });
    let answer = ask(&client, &request("Hi"), 9).await;
    assert_eq!((kind(&answer), answer.text().as_str()), (ProviderErrorKind::CutOff, "one "));
}

#[tokio::test]
async fn an_answer_without_a_finish_reason_is_never_whole() {
    for script in [
        Script::text("half an ans", 3).without_finish(),
        Script::text("half an ans", 3).without_finish().without_done(),
        Script::text("half an ans", 3).without_finish().usage(3, 3),
        Script::text("half an ans", 3).finish("error"),
    ] {
        let answer = answer_to(script).await;
        assert_eq!((kind(&answer), answer.text().as_str()), (ProviderErrorKind::CutOff, "half an ans"));
    }
    for script in [
        Script::raw(""),
        Script::raw("data: [DONE]\n\n"),
        Script::raw("<html>Busy</html>"),
        Script::status(200).body("{}"),
    ] {
        assert_eq!(kind(&answer_to(script).await), ProviderErrorKind::CutOff);
    }
}

#[tokio::test]
async fn an_answer_with_a_finish_reason_is_whole_whatever_follows() {
    let whole = "data: {\"choices\":[{\"delta\":{\"content\":\"all\"},\"finish_reason\":\"stop\"}]}\n\n";
    for rest in [
        "data: {\n\n",
        "data: {\"error\":{\"code\":500}}\n\n",
        "data: [DONE]\n\ndata: [DONE]\n\n",
        "data: \u{0}",
    ] {
        let answer = answer_to(Script::raw(format!("{whole}{rest}"))).await;
        assert_eq!((answer.finish(), answer.text().as_str()), (Some(FinishReason::Stop), "all"), "{rest}");
    }
}

#[tokio::test]
async fn a_malformed_chunk_ends_the_answer() {
    assert!(answer_to(Script::text("Hi", 1).malformed()).await.events.is_empty());
    let answer = answer_to(Script::text("one two", 2).malformed_after(1)).await;
    assert_eq!(kind(&answer), ProviderErrorKind::CutOff);
    assert_eq!(answer.text(), "one ");
    for garbage in
        ["[]", "7", "{\"choices\":7}", "{\"choices\":[{\"delta\":{\"content\":{}}}]}", &"[".repeat(10_000)]
    {
        assert_eq!(
            kind(&answer_to(Script::raw(format!("data: {garbage}\n\n"))).await),
            ProviderErrorKind::CutOff
        );
    }
}

#[tokio::test]
async fn an_error_in_place_of_the_first_chunk_is_like_a_refusal() {
    for (error, expected) in [
        (json!({ "code": 429, "message": CANARY }), ProviderErrorKind::RateLimited { retry_after: None }),
        (json!({ "code": "rate_limit_exceeded" }), ProviderErrorKind::RateLimited { retry_after: None }),
        (json!({ "type": "invalid_request_error", "code": null }), ProviderErrorKind::Refused),
        (json!({ "code": 502, "message": "no upstream" }), ProviderErrorKind::Fault),
        (json!("overloaded"), ProviderErrorKind::Fault),
    ] {
        let body = json!({ "error": error }).to_string();
        assert_eq!(
            kind(&answer_to(Script::text("Hi", 1).data_after(0, body.clone())).await),
            expected,
            "{error}"
        );
        assert_eq!(kind(&answer_to(Script::status(200).body(body)).await), expected, "{error} as a document");
    }
}

#[tokio::test]
async fn an_error_amid_the_answer_cuts_it_off() {
    let error = json!({ "error": { "code": 502, "message": format!("lost {CANARY}") } });
    let answer = answer_to(Script::text("one two", 2).data_after(1, error.to_string())).await;
    assert_eq!((kind(&answer), answer.text().as_str()), (ProviderErrorKind::CutOff, "one "));
    assert!(answer.log().contains("lost [key]"), "{}", answer.log());
}

#[tokio::test]
async fn a_malformed_chunk_that_quotes_the_key_does_not_reach_the_log() {
    let chunk = json!({ "choices": CANARY });
    let answer = answer_to(Script::raw(format!("data: {chunk}\n\n"))).await;
    assert!(answer.log().contains("[key]"), "{}", answer.log());
}

#[tokio::test]
async fn what_is_too_large_ends_the_answer() {
    let mebibyte = "x".repeat(1024 * 1024);
    let event = json!({ "choices": [{ "delta": { "content": mebibyte } }] });
    assert!(answer_to(Script::raw(format!("data: {event}\n\n"))).await.events.is_empty(), "an event");
    assert!(answer_to(Script::document(&mebibyte)).await.events.is_empty(), "a document");
    assert!(answer_to(Script::raw(mebibyte.repeat(2))).await.events.is_empty(), "a line without an end");

    let piece = json!({ "choices": [{ "delta": { "content": "x".repeat(1000 * 1000) } }] });
    let answer = answer_to(Script::raw(format!("data: {piece}\n\n").repeat(6))).await;
    assert_eq!(
        answer.events.iter().filter(|event| matches!(event, ChatEvent::Text(_))).count(),
        4,
        "the text"
    );
    assert_eq!(kind(&answer), ProviderErrorKind::CutOff);
}
