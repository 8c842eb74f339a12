//! What a person asks for, and what of it is refused before anything is read.

use serde::Serialize;
use uuid::Uuid;

use crate::error::{AppError, Result};

const MAX_PARTS: usize = 20;
const MAX_PART_CHARS: usize = 100_000;

/// A message to a conversation.
#[derive(Debug, Clone, Serialize)]
pub struct NewMessage {
    /// `None` starts a new conversation.
    pub conversation_id: Option<Uuid>,
    /// Account of a new conversation.
    pub account_id: Option<Uuid>,
    pub parts: Vec<String>,
    pub model: Option<String>,
    pub options: Options,
}

/// Wishes for one answer.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Options {
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub max_output_tokens: Option<u32>,
    /// Most micro-credits the answer may cost.
    pub max_credits: Option<i64>,
    pub stop: Vec<String>,
}

impl NewMessage {
    /// Refuses what no model is asked.
    pub fn validate(&self) -> Result<()> {
        let new = self;
        if !(1..=MAX_PARTS).contains(&new.parts.len()) {
            return Err(AppError::invalid("parts", "A message has 1 to 20 parts."));
        }
        for (index, text) in new.parts.iter().enumerate() {
            if !(1..=MAX_PART_CHARS).contains(&text.chars().count()) || text.contains('\0') {
                return Err(AppError::invalid(
                    &format!("parts.{index}.text"),
                    "A part has 1 to 100000 characters, and none of them is NUL.",
                ));
            }
        }
        if new.parts.iter().all(|text| text.trim().is_empty()) {
            return Err(AppError::invalid("parts", "A message is more than white space."));
        }
        if new.conversation_id.is_some() && new.account_id.is_some() {
            return Err(AppError::invalid(
                "accountId",
                "The account of a conversation that exists cannot be chosen.",
            ));
        }
        let options = &new.options;
        if options.temperature.is_some_and(|value| !(0.0..=2.0).contains(&value)) {
            return Err(AppError::invalid("options.temperature", "The temperature is between 0 and 2."));
        }
        if options.top_p.is_some_and(|value| !(value > 0.0 && value <= 1.0)) {
            return Err(AppError::invalid("options.topP", "The share is above 0 and at most 1."));
        }
        if options.max_output_tokens == Some(0) {
            return Err(AppError::invalid("options.maxOutputTokens", "An answer has at least one token."));
        }
        let is_stop = |text: &String| (1..=256).contains(&text.len()) && !text.contains('\0');
        if options.stop.len() > 4 || !options.stop.iter().all(is_stop) {
            return Err(AppError::invalid(
                "options.stop",
                "At most 4 texts of 1 to 256 bytes can end an answer, and none of them has a NUL.",
            ));
        }
        Ok(())
    }
}
