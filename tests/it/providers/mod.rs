//! One suite for all chat providers, and what each has of its own.

mod conformance;
mod echo;
mod hostile;
mod openai_compatible;

use std::{error::Error, time::Duration};

use futures_util::StreamExt;
use loquent::providers::{
    CallLimits,
    error::ProviderError,
    openai_compatible::{OpenAiCompatible, OpenAiCompatibleSettings},
    types::{
        ChatEvent, ChatMessage, ChatProvider, ChatRequest, ChatRole, Clearance, FinishReason, Funding,
        TokenUsage,
    },
};
use secrecy::SecretString;

use crate::support::provider::ScriptedProvider;

/// A key that must show up nowhere but in the header of the call.
const CANARY: &str = "sk-canary-5f0c9a";

/// Pays for so many tokens.
struct Paid(u32);

impl Funding for Paid {
    fn output_cap(&self) -> u32 {
        self.0
    }
}

/// Lets through what a test sends.
struct Cleared;

impl Clearance for Cleared {}

/// Everything that came of one call.
#[derive(Debug, Default)]
struct Answer {
    events: Vec<ChatEvent>,
    error: Option<ProviderError>,
}

impl Answer {
    fn text(&self) -> String {
        self.join(|event| if let ChatEvent::Text(text) = event { Some(text) } else { None })
    }

    fn reasoning(&self) -> String {
        self.join(|event| if let ChatEvent::Reasoning(text) = event { Some(text) } else { None })
    }

    fn join(&self, part: impl Fn(&ChatEvent) -> Option<&String>) -> String {
        self.events.iter().filter_map(part).map(String::as_str).collect()
    }

    fn usage(&self) -> Option<TokenUsage> {
        self.events
            .iter()
            .find_map(|event| if let ChatEvent::Usage(usage) = event { Some(*usage) } else { None })
    }

    fn finish(&self) -> Option<FinishReason> {
        match self.events.last() {
            Some(ChatEvent::Finished(reason)) => Some(*reason),
            _ => None,
        }
    }

    /// The rules that every answer keeps.
    fn check(&self) {
        let is_finish = |event: &ChatEvent| matches!(event, ChatEvent::Finished(_));
        let is_empty = |event: &ChatEvent| matches!(event, ChatEvent::Text(text) | ChatEvent::Reasoning(text) if text.is_empty());
        assert!(!self.events.iter().any(is_empty), "an empty delta: {self:?}");
        assert_eq!(self.finish().is_some(), self.error.is_none(), "whole exactly if finished: {self:?}");
        assert_eq!(
            self.events.iter().filter(|event| is_finish(event)).count(),
            usize::from(self.error.is_none())
        );
        let usage = self.events.iter().position(|event| matches!(event, ChatEvent::Usage(_)));
        assert!(
            usage.is_none_or(|at| at + 2 == self.events.len()),
            "usage comes right before the end: {self:?}"
        );
        assert!(!format!("{self:?} {}", self.log()).contains(CANARY), "the key leaks: {self:?}");
    }

    /// What a log of the error with its sources would say.
    fn log(&self) -> String {
        let first = self.error.as_ref().map(|error| error as &dyn Error);
        std::iter::successors(first, |&error| error.source())
            .map(|error| format!("{error}: {error:?} "))
            .collect()
    }
}

/// Calls and reads to the end.
async fn ask(provider: &dyn ChatProvider, request: &ChatRequest, cap: u32) -> Answer {
    let mut answer = Answer::default();
    match provider.stream_chat(request, &Paid(cap), &Cleared).await {
        Err(error) => answer.error = Some(error),
        Ok(mut stream) => {
            while let Some(event) = stream.next().await {
                assert!(answer.error.is_none(), "nothing comes after an error: {event:?}");
                match event {
                    Ok(event) => answer.events.push(event),
                    Err(error) => answer.error = Some(error),
                }
            }
        }
    }
    answer.check();
    answer
}

fn request(text: &str) -> ChatRequest {
    ChatRequest {
        model: "test-model".to_owned(),
        messages: vec![ChatMessage { role: ChatRole::User, text: text.to_owned() }],
        attempt_id: "attempt-1".to_owned(),
        ..ChatRequest::default()
    }
}

/// Short enough for a test that waits for one to run out, long enough for the others.
fn limits() -> CallLimits {
    CallLimits {
        connect: Duration::from_secs(5),
        response_head: Duration::from_secs(20),
        idle: Duration::from_secs(20),
        total: Duration::from_secs(30),
    }
}

fn settings(base_url: &str) -> OpenAiCompatibleSettings {
    OpenAiCompatibleSettings {
        key: "scripted".to_owned(),
        base_url: base_url.parse().unwrap(),
        api_key: Some(SecretString::from(CANARY)),
        output_cap_field: None,
        limits: limits(),
    }
}

fn client_of(provider: &ScriptedProvider) -> OpenAiCompatible {
    OpenAiCompatible::try_new(settings(provider.base_url())).unwrap()
}

fn client_with(provider: &ScriptedProvider, limits: CallLimits) -> OpenAiCompatible {
    OpenAiCompatible::try_new(OpenAiCompatibleSettings { limits, ..settings(provider.base_url()) }).unwrap()
}
