//! Wishes for answers in the API.

use async_graphql::{InputObject, SimpleObject};

use crate::{domains::conversations::AnswerOptions, error::AppError, graphql::scalars::Decimal};

/// Wishes for one answer; the plan and the model bound them.
#[derive(InputObject)]
pub struct GenerationOptionsInput {
    /// Randomness, 0 to 2; that of the conversation or of the model when absent.
    temperature: Option<f64>,
    /// Share of likely words considered, above 0 to 1; that of the conversation or of the model when absent.
    top_p: Option<f64>,
    /// Most tokens in the answer, reasoning included.
    max_output_tokens: Option<i32>,
    /// Most credits the answer may cost; output is capped to fit.
    max_credits: Option<Decimal>,
    /// Texts that end the answer, at most 4.
    stop: Option<Vec<String>>,
}

/// Wishes for the answers of a conversation; those of a message win, field by field.
#[derive(SimpleObject)]
pub struct GenerationOptions {
    /// Randomness, 0 to 2, or null for that of the model.
    temperature: Option<f64>,
    /// Share of likely words considered, above 0 to 1, or null for that of the model.
    top_p: Option<f64>,
    /// Most tokens in an answer, reasoning included, or null for what plan and model allow.
    max_output_tokens: Option<i32>,
    /// Most credits an answer may cost, or null for what the balance allows.
    max_credits: Option<Decimal>,
    /// Texts that end an answer, at most 4.
    stop: Vec<String>,
}

impl TryFrom<GenerationOptionsInput> for AnswerOptions {
    type Error = AppError;

    fn try_from(input: GenerationOptionsInput) -> Result<Self, AppError> {
        let tokens = |tokens: i32| {
            u32::try_from(tokens).map_err(|_| {
                AppError::invalid("options.maxOutputTokens", "An answer has at least one token.")
            })
        };
        let credits = |credits: Decimal| {
            credits.to_micro().ok_or_else(|| {
                AppError::invalid(
                    "options.maxCredits",
                    "Credits are not negative and have at most six decimals.",
                )
            })
        };
        Ok(Self {
            temperature: input.temperature,
            top_p: input.top_p,
            max_output_tokens: input.max_output_tokens.map(tokens).transpose()?,
            max_credits: input.max_credits.map(credits).transpose()?,
            stop: input.stop,
        })
    }
}

impl From<AnswerOptions> for GenerationOptions {
    fn from(options: AnswerOptions) -> Self {
        Self {
            temperature: options.temperature,
            top_p: options.top_p,
            max_output_tokens: options
                .max_output_tokens
                .map(|tokens| i32::try_from(tokens).unwrap_or(i32::MAX)),
            max_credits: options.max_credits.map(Decimal::of_micro),
            stop: options.stop.unwrap_or_default(),
        }
    }
}
