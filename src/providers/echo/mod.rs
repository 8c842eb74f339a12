//! The built-in model: it needs no key and no network, always says the same to the same words, and streams like a real
//! one. Try it first, and build your client against it.
//!
//! Say anything and it answers with your own words and what has just happened. Words that begin with a slash steer it.
//! They work in your last message, and for every message when they stand in the model's upstream name
//! (`echo /pace 5ms`); the message wins.
//!
//! | write | and the answer |
//! | --- | --- |
//! | `/words 200` | has 200 words (at most 10,000); else about 100 to 150 |
//! | `/pace 20ms` | takes 20 ms for each word (`0` to `1s`); else 30 ms |
//! | `/think 20` | begins with 20 words of reasoning |
//! | `/fail` | is an outage; `/fail 429` or `/fail 401`: what a provider means by that status |
//! | `/cut 10` | loses its connection after 10 words |
//! | `/stall 10` | falls silent after 10 words until a time limit ends it |
//!
//! A word with the space behind it is one token, in the prompt and in the answer, so that you can check every charge by
//! counting. The output cap and the stop texts hold as for any model.

mod script;

use std::time::Duration;

use async_stream::try_stream;
use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use self::script::{Fault, Script};
use super::{
    error::{ProviderError, ProviderErrorKind},
    http::CallLimits,
    types::{ChatEvent, ChatProvider, ChatRequest, ChatStream, Clearance, FinishReason, Funding, TokenUsage},
};

/// How the built-in model behaves unless it is steered.
#[derive(Debug, Clone, Copy)]
pub struct EchoSettings {
    /// Time before each word. Zero in tests.
    pub pace: Duration,
    /// `idle` is how long a stall lasts, `total` how long an answer may take; the others have no meaning here.
    pub limits: CallLimits,
}

impl Default for EchoSettings {
    fn default() -> Self {
        Self { pace: Duration::from_millis(30), limits: CallLimits::default() }
    }
}

/// The built-in model. Its key is `echo`.
#[derive(Debug, Clone)]
pub struct Echo {
    settings: EchoSettings,
}

impl Echo {
    pub const KEY: &str = "echo";

    pub fn new(settings: EchoSettings) -> Self {
        Self { settings }
    }
}

#[async_trait]
impl ChatProvider for Echo {
    fn key(&self) -> &str {
        Self::KEY
    }

    async fn stream_chat(
        &self,
        request: &ChatRequest,
        funding: &dyn Funding,
        _clearance: &dyn Clearance,
    ) -> Result<ChatStream, ProviderError> {
        let script = Script::of(request, self.settings.pace, funding.output_cap());
        if let Some(Fault::Refuse(kind)) = script.fault {
            return Err(ProviderError::new(kind, "asked for by /fail"));
        }
        Ok(play(script, input_tokens(request), self.settings.limits))
    }
}

/// Says the words of a script at its pace.
fn play(script: Script, input: u32, limits: CallLimits) -> ChatStream {
    Box::pin(try_stream! {
        let deadline = Instant::now() + limits.total;
        let Script { reasoning, answer, is_capped, pace, fault } = script;
        let (output, reasoned) = (tokens(&answer), tokens(&reasoning));
        let usage = TokenUsage { input, output, reasoning: reasoned, ..TokenUsage::default() };
        for word in reasoning {
            wait(pace, deadline).await?;
            yield ChatEvent::Reasoning(word);
        }
        for (said, word) in answer.into_iter().enumerate() {
            end_after(said, fault, limits.idle).await?;
            wait(pace, deadline).await?;
            yield ChatEvent::Text(word);
        }
        // A fault beyond the last word hits between the answer and its end.
        end_after(usize::MAX, fault, limits.idle).await?;
        yield ChatEvent::Usage(usage);
        yield ChatEvent::Finished(if is_capped { FinishReason::Length } else { FinishReason::Stop });
    })
}

/// The pause before a word.
async fn wait(pace: Duration, deadline: Instant) -> Result<(), ProviderError> {
    if Instant::now() + pace > deadline {
        return Err(ProviderError::new(ProviderErrorKind::CutOff, "the answer took too long"));
    }
    if pace.is_zero() {
        // Otherwise a long answer would keep its thread from all others.
        tokio::task::yield_now().await;
    } else {
        sleep(pace).await;
    }
    Ok(())
}

/// The fault that is due once `said` words are out.
async fn end_after(said: usize, fault: Option<Fault>, stall: Duration) -> Result<(), ProviderError> {
    match fault {
        Some(Fault::Cut { after }) if said >= after => {
            Err(ProviderError::new(ProviderErrorKind::CutOff, "asked for by /cut"))
        }
        Some(Fault::Stall { after }) if said >= after => {
            sleep(stall).await;
            Err(ProviderError::new(ProviderErrorKind::CutOff, "asked for by /stall"))
        }
        _ => Ok(()),
    }
}

fn tokens(words: &[String]) -> u32 {
    u32::try_from(words.len()).unwrap_or(u32::MAX)
}

fn input_tokens(request: &ChatRequest) -> u32 {
    let words = request.messages.iter().map(|message| message.text.split_whitespace().count()).sum::<usize>();
    u32::try_from(words).unwrap_or(u32::MAX)
}
