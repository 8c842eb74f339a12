//! Wishes for answers: those of one message, and those of a conversation, which hold where a message has none.

use serde::{Deserialize, Serialize};

use crate::error::{AppError, Result};

/// Wishes for one answer. Of a conversation they are stored as JSON in this form.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AnswerOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// Most micro-credits the answer may cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_credits: Option<i64>,
    /// Texts that end the answer; no text is a wish too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Vec<String>>,
}

impl AnswerOptions {
    /// These wishes, and those of `defaults` where there are none, field by field.
    pub fn or(self, defaults: Self) -> Self {
        Self {
            temperature: self.temperature.or(defaults.temperature),
            top_p: self.top_p.or(defaults.top_p),
            max_output_tokens: self.max_output_tokens.or(defaults.max_output_tokens),
            max_credits: self.max_credits.or(defaults.max_credits),
            stop: self.stop.or(defaults.stop),
        }
    }

    /// Refuses what no model is asked for.
    ///
    /// # Errors
    /// `INVALID_INPUT` at a field of `options`.
    pub fn validate(&self) -> Result<()> {
        if self.temperature.is_some_and(|value| !(0.0..=2.0).contains(&value)) {
            return Err(AppError::invalid("options.temperature", "The temperature is between 0 and 2."));
        }
        if self.top_p.is_some_and(|value| !(value > 0.0 && value <= 1.0)) {
            return Err(AppError::invalid("options.topP", "The share is above 0 and at most 1."));
        }
        if self.max_output_tokens == Some(0) {
            return Err(AppError::invalid("options.maxOutputTokens", "An answer has at least one token."));
        }
        let is_stop = |text: &String| (1..=256).contains(&text.len()) && !text.contains('\0');
        let stop = self.stop.as_deref().unwrap_or_default();
        if stop.len() > 4 || !stop.iter().all(is_stop) {
            return Err(AppError::invalid(
                "options.stop",
                "At most 4 texts of 1 to 256 bytes can end an answer, and none of them has a NUL.",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wish_wins_by_itself() {
        let defaults = AnswerOptions {
            temperature: Some(0.5),
            max_output_tokens: Some(9),
            stop: Some(vec!["END".to_owned()]),
            ..AnswerOptions::default()
        };
        let wishes =
            AnswerOptions { temperature: Some(0.0), stop: Some(Vec::new()), ..AnswerOptions::default() };
        let both = AnswerOptions { max_output_tokens: Some(9), ..wishes.clone() };
        assert_eq!(wishes.or(defaults.clone()), both);
        assert_eq!(AnswerOptions::default().or(defaults.clone()), defaults);
    }

    #[test]
    fn nothing_wished_is_an_empty_object() {
        assert_eq!(serde_json::json!(AnswerOptions::default()), serde_json::json!({}));
    }
}
