//! What is sent to the model: system prompt, as much history as fits, the new message.

use crate::{
    domains::{catalog::Model, conversations::Part},
    error::{AppError, ErrorCode, Result},
    providers::types::{ChatMessage, ChatRole},
};

/// A turn of the past.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct PastTurn {
    pub role: String,
    pub parts: Vec<Part>,
}

impl PastTurn {
    /// Its texts in order, without reasoning.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text { text } => Some(text.as_str()),
            Part::Reasoning { .. } => None,
        })
    }
}

/// Messages to send and their estimated size.
#[derive(Debug)]
pub struct Prompt {
    pub messages: Vec<ChatMessage>,
    pub tokens: u32,
}

/// Tokens of a text where no provider has counted: one for every three bytes, rounded up. English has about four bytes a
/// token and other scripts about three, so the estimate is rather high; what a provider reports replaces it.
pub fn estimate_tokens(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX).div_ceil(BYTES_PER_TOKEN)
}

/// Of a text that nobody has counted.
pub const BYTES_PER_TOKEN: u32 = 3;

/// Tokens that the roles and separators around each message take.
const MESSAGE_OVERHEAD: u32 = 4;

/// Tokens of the context that are kept free for the answer.
#[derive(Debug, Clone, Copy)]
pub struct Reserve {
    /// Without so many there is no use in asking.
    pub least: u32,
    /// History gives way to so many.
    pub usual: u32,
    /// Tokens that the prompt may have, however much the model can take.
    pub most: u32,
}

impl Reserve {
    /// History leaves the answer what it wishes, up to a quarter of the context.
    pub fn new(model: &Model, least: u32, wished: u32) -> Self {
        Self { least, usual: wished.min(model.context_tokens / 4).max(least), most: u32::MAX }
    }

    /// The same for prompts of so many tokens at most.
    pub fn within(self, most: u32) -> Self {
        Self { most, ..self }
    }
}

/// Leaves out the oldest turns until the reserve of the answer fits behind the rest. `CONTEXT_TOO_LONG` when the new
/// message alone leaves too little.
pub fn build(
    model: &Model,
    system_prompt: Option<&str>,
    history: &[PastTurn],
    text: &str,
    reserve: Reserve,
) -> Result<Prompt> {
    let size = |text: &str| estimate_tokens(text).saturating_add(MESSAGE_OVERHEAD);
    let system = system_prompt.map(|text| ChatMessage { role: ChatRole::System, text: text.to_owned() });
    let newest = ChatMessage { role: ChatRole::User, text: text.to_owned() };
    let mut tokens = size(text).saturating_add(system_prompt.map_or(0, size));
    if tokens > model.context_tokens.saturating_sub(reserve.least).min(reserve.most) {
        let message = format!("This message is longer than the model `{}` can take.", model.key);
        return Err(AppError::new(ErrorCode::ContextTooLong, message).at("parts"));
    }
    let room = model.context_tokens.saturating_sub(reserve.usual).min(reserve.most);
    let mut kept = Vec::new();
    for turn in history.iter().rev() {
        let text = Part::joined_text(&turn.parts);
        // An answer that was stopped before its first word says nothing.
        if text.is_empty() {
            continue;
        }
        tokens = tokens.saturating_add(size(&text));
        if tokens > room {
            tokens -= size(&text);
            break;
        }
        let role = if turn.role == "assistant" { ChatRole::Assistant } else { ChatRole::User };
        kept.push(ChatMessage { role, text });
    }
    let messages = system.into_iter().chain(kept.into_iter().rev()).chain([newest]).collect();
    Ok(Prompt { messages, tokens })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domains::catalog::Prices;

    fn model(context_tokens: u32) -> Model {
        Model {
            id: Uuid::nil(),
            key: "m".into(),
            name: "M".into(),
            provider: "p".into(),
            upstream_name: "m".into(),
            context_tokens,
            max_output_tokens: 10,
            aliases: Vec::new(),
            prices: Prices { input: 0, cached_input: 0, cache_write: 0, output: 0, reasoning: 0 },
            costs: None,
            unit_prices: Vec::new(),
        }
    }

    fn turn(role: &str, text: &str) -> PastTurn {
        PastTurn { role: role.into(), parts: vec![Part::Text { text: text.into() }] }
    }

    #[test]
    fn the_oldest_turns_give_way_first() {
        let history = [turn("user", "aaaaaaaaa"), turn("assistant", "bbbbbbbbb"), turn("user", "ccc")];
        // The new message takes 5, the system prompt 5, "ccc" 5 and "b…" 7; "a…" does not fit into the last 3.
        let prompt =
            build(&model(35), Some("sys"), &history, "new", Reserve { least: 5, usual: 10, most: 100 })
                .unwrap();
        let texts: Vec<_> = prompt.messages.iter().map(|message| message.text.as_str()).collect();
        assert_eq!(texts, ["sys", "bbbbbbbbb", "ccc", "new"]);
        assert_eq!(prompt.tokens, 22);
    }

    #[test]
    fn what_a_plan_allows_bounds_the_prompt_like_the_model_does() {
        let reserve = Reserve { least: 1, usual: 1, most: 12 };
        let history = [turn("user", "aaaaaaaaa"), turn("assistant", "bbbbbbbbb")];
        let prompt = build(&model(1_000), None, &history, "new", reserve).unwrap();
        assert_eq!((prompt.messages.len(), prompt.tokens), (2, 12));
        let refused = build(&model(1_000), None, &[], &"x".repeat(40), reserve).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::ContextTooLong);
    }

    #[test]
    fn a_message_that_cannot_fit_is_refused() {
        let refused =
            build(&model(20), None, &[], &"x".repeat(40), Reserve { least: 10, usual: 10, most: 100 })
                .unwrap_err();
        assert_eq!(refused.code(), ErrorCode::ContextTooLong);
    }
}
