//! What came of reading a provider: what people are told of it, and what it costs.

use crate::{
    domains::{
        conversations::{Part, RunStatus},
        credits::{Terms, Usage, UsageSource},
        generations::{
            bounds,
            model::{Draft, Failure, FinishReason},
            prompt::estimate_tokens,
        },
    },
    error::ErrorCode,
    providers::{
        error::{ProviderError, ProviderErrorKind},
        types::{FinishReason as ProviderFinish, TokenUsage},
    },
};

/// Why the reading of the provider ended.
#[derive(Debug)]
pub enum Outcome {
    Finished(ProviderFinish),
    Stopped,
    ShutDown,
    TimedOut,
    TooLong,
    Failed(ProviderError),
    /// The process was fenced: others end this run.
    GivenUp,
}

/// What has come out of the provider so far.
#[derive(Default)]
pub struct Output {
    pub draft: Draft,
    pub bytes: usize,
    pub usage: Option<TokenUsage>,
    /// The provider has begun to answer, and so has read the prompt.
    pub was_accepted: bool,
}

/// Status, reason and what people are told.
pub fn describe(outcome: &Outcome, is_capped: bool) -> (RunStatus, FinishReason, Option<Failure>) {
    let failure = match outcome {
        Outcome::Finished(reason) => {
            let reason = match reason {
                ProviderFinish::Stop => FinishReason::Stop,
                ProviderFinish::Length if is_capped => FinishReason::CreditLimit,
                ProviderFinish::Length => FinishReason::Length,
                ProviderFinish::ToolCalls => FinishReason::ToolCalls,
                ProviderFinish::ContentFilter => FinishReason::ContentFilter,
            };
            return (RunStatus::Succeeded, reason, None);
        }
        Outcome::Stopped => return (RunStatus::Canceled, FinishReason::Canceled, None),
        Outcome::ShutDown | Outcome::GivenUp => {
            return (RunStatus::Interrupted, FinishReason::Error, Some(Failure::interrupted()));
        }
        Outcome::TimedOut => Failure::passing(ErrorCode::TimedOut, "The answer took longer than allowed."),
        Outcome::TooLong => Failure {
            is_retryable: false,
            ..Failure::passing(ErrorCode::GenerationFailed, "The answer is longer than allowed.")
        },
        Outcome::Failed(error) => provider_failure(error),
    };
    (RunStatus::Failed, FinishReason::Error, Some(failure))
}

fn provider_failure(error: &ProviderError) -> Failure {
    let (code, is_retryable, retry_after) = match error.kind() {
        ProviderErrorKind::Timeout => (ErrorCode::TimedOut, true, None),
        ProviderErrorKind::RateLimited { retry_after } => (ErrorCode::ProviderUnavailable, true, retry_after),
        ProviderErrorKind::Fault => (ErrorCode::ProviderUnavailable, true, None),
        ProviderErrorKind::Refused => (ErrorCode::GenerationFailed, false, None),
        // It was billed, so only a person may decide to ask again.
        ProviderErrorKind::CutOff => (ErrorCode::GenerationFailed, true, None),
    };
    Failure { code, message: error.message().to_owned(), is_retryable, retry_after }
}

/// What is charged: the provider's count, else our estimate of what came out; `None` when nothing did. Who stops an answer
/// pays for the prompt once the provider has read it, or stopping would be a way to call models for nothing.
pub fn usage_of(output: &Output, terms: &Terms, outcome: &Outcome) -> Option<Usage> {
    if let Some(usage) = output.usage {
        return Some(Usage {
            input: usage.input.min(bounds::MAX_COUNT),
            cached_input: usage.cached_input.min(bounds::MAX_COUNT),
            cache_write: usage.cache_write.min(bounds::MAX_COUNT),
            output: usage.output.min(bounds::MAX_COUNT),
            reasoning: usage.reasoning.min(bounds::MAX_COUNT),
            source: UsageSource::Provider,
        });
    }
    let is_owed = matches!(outcome, Outcome::Finished(_) | Outcome::Stopped);
    (output.was_accepted && (is_owed || !output.draft.is_empty()))
        .then(|| estimated_usage(&output.draft.parts, terms))
}

/// Usage of an answer that nobody counted.
pub fn estimated_usage(parts: &[Part], terms: &Terms) -> Usage {
    let mut usage = Usage {
        input: terms.prompt_tokens,
        cached_input: 0,
        cache_write: 0,
        output: 0,
        reasoning: 0,
        source: UsageSource::Estimated,
    };
    for part in parts {
        match part {
            Part::Text { text } => usage.output += estimate_tokens(text),
            Part::Reasoning { text } => usage.reasoning += estimate_tokens(text),
        }
    }
    usage
}
