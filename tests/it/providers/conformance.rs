//! What every provider must do, whatever its wire format. A provider joins by telling how it is brought into each
//! situation.

use std::time::Duration;

use async_trait::async_trait;
use loquent::providers::{
    CallLimits,
    echo::{Echo, EchoSettings},
    error::ProviderErrorKind,
    types::{ChatProvider, ChatRequest, FinishReason},
};

use super::{Answer, ask, client_with, limits, request};
use crate::support::provider::{Script, ScriptedProvider};

/// What the provider is brought to do.
#[derive(Debug, Clone, Copy)]
enum Situation {
    /// Eight words and their usage.
    Plain,
    /// Eight words after four words of reasoning.
    Reasoning,
    /// More words than the cap of three.
    Capped,
    /// Answers with this status and asks to wait one second.
    Status(u16),
    /// Breaks the connection after two words.
    Cut,
    /// Falls silent after two words.
    Stall,
}

#[async_trait]
trait Candidate: Sync {
    async fn ask(&self, situation: Situation, limits: CallLimits) -> Answer;
}

struct ScriptedOpenAi(ScriptedProvider);

#[async_trait]
impl Candidate for ScriptedOpenAi {
    async fn ask(&self, situation: Situation, limits: CallLimits) -> Answer {
        let words = Script::pieces(&["one ", "two ", "three ", "four ", "five ", "six ", "seven ", "eight"]);
        self.0.then(match situation {
            Situation::Plain => words.usage(3, 8),
            Situation::Reasoning => words.reasoning("I think of numbers").usage_json(serde_json::json!({
                "prompt_tokens": 3, "completion_tokens": 12, "completion_tokens_details": { "reasoning_tokens": 4 } })),
            Situation::Capped => Script::pieces(&["one ", "two ", "three"]).finish("length").usage(3, 3),
            Situation::Status(status) => Script::status(status).header("retry-after", "1"),
            Situation::Cut => words.cut_after(2),
            Situation::Stall => words.stall_after(2),
        });
        let client = client_with(&self.0, limits);
        ask(&client, &request("count to eight"), if matches!(situation, Situation::Capped) { 3 } else { 100 })
            .await
    }
}

struct BuiltInEcho;

#[async_trait]
impl Candidate for BuiltInEcho {
    async fn ask(&self, situation: Situation, limits: CallLimits) -> Answer {
        let (text, cap) = match situation {
            Situation::Plain => ("/words 8 please".to_owned(), 100),
            Situation::Reasoning => ("/words 8 /think 4".to_owned(), 100),
            Situation::Capped => ("/words 8 please".to_owned(), 3),
            Situation::Status(status) => (format!("/fail {status}"), 100),
            Situation::Cut => ("/cut 2".to_owned(), 100),
            Situation::Stall => ("/stall 2".to_owned(), 100),
        };
        let echo = Echo::new(EchoSettings { pace: Duration::ZERO, limits });
        ask(&echo as &dyn ChatProvider, &ChatRequest { model: "echo".to_owned(), ..request(&text) }, cap)
            .await
    }
}

async fn conforms(candidate: &dyn Candidate) {
    let plain = candidate.ask(Situation::Plain, limits()).await;
    assert_eq!((plain.finish(), plain.text().split_whitespace().count()), (Some(FinishReason::Stop), 8));
    let usage = plain.usage().unwrap();
    assert_eq!((usage.input, usage.cached_input, usage.output, usage.reasoning), (3, 0, 8, 0));

    let reasoning = candidate.ask(Situation::Reasoning, limits()).await;
    assert_eq!(reasoning.reasoning().split_whitespace().count(), 4);
    assert_eq!(reasoning.text().split_whitespace().count(), 8);
    let usage = reasoning.usage().unwrap();
    assert_eq!((usage.output, usage.reasoning), (8, 4));

    let capped = candidate.ask(Situation::Capped, limits()).await;
    assert_eq!((capped.finish(), capped.text().split_whitespace().count()), (Some(FinishReason::Length), 3));
    assert_eq!(capped.usage().unwrap().output, 3);

    let one_second = Some(Duration::from_secs(1));
    for (status, kind, is_retryable) in [
        (400, ProviderErrorKind::Refused, false),
        (401, ProviderErrorKind::Refused, false),
        (408, ProviderErrorKind::Timeout, true),
        (429, ProviderErrorKind::RateLimited { retry_after: one_second }, true),
        (500, ProviderErrorKind::Fault, true),
        (503, ProviderErrorKind::Fault, true),
        (529, ProviderErrorKind::Fault, true),
    ] {
        let refused = candidate.ask(Situation::Status(status), limits()).await;
        let error = refused.error.unwrap();
        assert_eq!((error.kind(), error.is_retryable()), (kind, is_retryable), "{status}");
        assert!(refused.events.is_empty());
    }

    let cut = candidate.ask(Situation::Cut, limits()).await;
    let error = cut.error.as_ref().unwrap();
    assert_eq!((error.kind(), error.is_retryable()), (ProviderErrorKind::CutOff, false));
    assert_eq!(cut.text().split_whitespace().count(), 2, "what came before the cut is kept");

    let impatient = CallLimits { idle: Duration::from_millis(300), ..limits() };
    let stalled = candidate.ask(Situation::Stall, impatient).await;
    assert_eq!(stalled.error.as_ref().unwrap().kind(), ProviderErrorKind::CutOff);
    assert_eq!(stalled.text().split_whitespace().count(), 2, "what came before the stall is kept");
}

#[tokio::test]
async fn the_openai_format_conforms() {
    conforms(&ScriptedOpenAi(ScriptedProvider::start().await)).await;
}

#[tokio::test]
async fn the_built_in_model_conforms() {
    conforms(&BuiltInEcho).await;
}
