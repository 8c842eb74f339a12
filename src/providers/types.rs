//! Our vocabulary for talking to chat models. No provider's format shows here.

use std::pin::Pin;

use async_trait::async_trait;
use futures_util::Stream;

use super::error::ProviderError;

/// What a model is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatRequest {
    /// Name of the model as its provider knows it.
    pub model: String,
    /// Oldest first.
    pub messages: Vec<ChatMessage>,
    /// Randomness, usually 0 to 2; `None` leaves it to the provider.
    pub temperature: Option<f64>,
    /// Share of probability that is sampled from, 0 to 1; `None` leaves it to the provider.
    pub top_p: Option<f64>,
    /// Texts at which the answer ends; they are not part of it. Empty texts are ignored.
    pub stop: Vec<String>,
    /// Names this attempt. It goes upstream as the idempotency key where the dialect knows one.
    pub attempt_id: String,
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMessage {
    pub role: ChatRole,
    pub text: String,
}

/// Who speaks. The server alone decides it; nothing inside a text can change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatRole {
    System,
    User,
    Assistant,
}

/// One piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatEvent {
    /// The next part of the answer, never empty. All parts joined are the answer.
    Text(String),
    /// The next part of the model's reasoning, never empty, not part of the answer.
    Reasoning(String),
    /// What the provider counted. At most once, right before [`ChatEvent::Finished`]; missing when it counted nothing.
    Usage(TokenUsage),
    /// The answer is whole. Always the last event; a stream that ends without it ended with an error.
    Finished(FinishReason),
}

/// Tokens as the provider counted them. The five do not overlap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// Prompt tokens at full price.
    pub input: u32,
    /// Prompt tokens that the provider read from its cache.
    pub cached_input: u32,
    /// Prompt tokens that the provider wrote to its cache.
    pub cache_write: u32,
    /// Answer tokens without reasoning.
    pub output: u32,
    pub reasoning: u32,
}

/// Why an answer is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model came to an end, or to one of the stop texts.
    Stop,
    /// The output cap or the model's own limit.
    Length,
    /// The model waits for the results of tools.
    ToolCalls,
    /// The provider held the rest back.
    ContentFilter,
}

/// An answer while it arrives. After an error or [`ChatEvent::Finished`] it yields nothing more. It must be polled to go
/// on; dropping it ends the call at the provider.
pub type ChatStream = Pin<Box<dyn Stream<Item = Result<ChatEvent, ProviderError>> + Send>>;

/// Proof that somebody pays for a call. Only an open hold of credits is one, so that no call to a model can be written
/// without one.
pub trait Funding: Send + Sync {
    /// Most output tokens, reasoning included, that are paid for. The cap of a call comes from here and from nowhere
    /// else.
    fn output_cap(&self) -> u32;
}

/// Proof that what is sent was let through. Only moderation gives one, so that no call to a model can be written that
/// passes it by.
pub trait Clearance: Send + Sync {}

/// A place where chat models run.
#[async_trait]
pub trait ChatProvider: Send + Sync {
    /// Name in the configuration, such as `openai`.
    fn key(&self) -> &str;

    /// Asks a model and returns once the provider has begun to answer.
    ///
    /// # Errors
    /// When it refuses, fails or is silent for too long. What goes wrong later is an item of the stream.
    async fn stream_chat(
        &self,
        request: &ChatRequest,
        funding: &dyn Funding,
        clearance: &dyn Clearance,
    ) -> Result<ChatStream, ProviderError>;
}
