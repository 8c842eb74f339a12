//! Objects of runs.

use std::{sync::Arc, time::Duration};

use async_graphql::{Context, Enum, Object, Result, SimpleObject};

use crate::{
    domains::{
        catalog::Catalog,
        conversations::graphql::{Conversation, RunStatus},
        credits::{
            self, Credits,
            graphql::{CreditBalance, Quota},
        },
        generations::{self, Failure, GenerationRow},
    },
    error::{AppError, Details, ErrorCode},
    graphql::{
        ContextExt, Message, Model,
        errors::{UserError, raise},
        scalars::{DateTime, Decimal},
    },
    platform::ids::Id,
};

/// One run of a model, of whatever kind; also the request log of an account.
#[derive(Clone)]
pub struct Generation {
    row: Arc<GenerationRow>,
    /// What it writes, where that is known already.
    message: Option<Message>,
}

impl Generation {
    /// A run as its row has it.
    pub fn of_row(row: Arc<GenerationRow>) -> Self {
        Self { row, message: None }
    }

    /// A run with the message that it writes.
    pub fn with_message(row: Arc<GenerationRow>, message: Message) -> Self {
        Self { row, message: Some(message) }
    }
}

/// One run of a model, of whatever kind; also the request log of an account.
#[Object]
impl Generation {
    /// Id with the prefix `gen_`.
    pub async fn id(&self) -> Id<GenerationRow> {
        self.row.id.into()
    }

    /// Progress.
    async fn status(&self) -> RunStatus {
        self.row.status().into()
    }

    /// Message being written, or null when no message is.
    async fn message(&self, ctx: &Context<'_>) -> Result<Option<Message>> {
        if let Some(message) = &self.message {
            return Ok(Some(message.clone()));
        }
        let Some(id) = self.row.message_id else { return Ok(None) };
        Ok(ctx.loaders().messages.load_one(id).await.map_err(raise)?.map(Message::of_row))
    }

    /// Key of the model that was asked for, an alias included.
    async fn requested_model(&self) -> &str {
        &self.row.requested_model
    }

    /// Model that answers or answered, or null before the first attempt.
    async fn model(&self, ctx: &Context<'_>) -> Option<Model> {
        ctx.handle::<Catalog>().find_model(&self.row.model_key).map(Model)
    }

    /// Why output ended, or null until it did.
    async fn finish_reason(&self) -> Option<FinishReason> {
        generations::FinishReason::parse(self.row.finish_reason.as_deref()?).map(Into::into)
    }

    /// True when the allowed output was lowered to what the balance covers.
    async fn is_output_capped(&self) -> bool {
        self.row.is_output_capped
    }

    /// What it costs.
    async fn charge(&self) -> Charge {
        Charge::from(&*self.row)
    }

    /// Why it failed, or null.
    async fn error(&self) -> Option<UserError> {
        failure(&self.row).map(|error| UserError::from(&error))
    }

    /// When it was asked for.
    async fn created_at(&self) -> DateTime {
        self.row.created_at.into()
    }

    /// First output, or null before it.
    async fn first_output_at(&self) -> Option<DateTime> {
        self.row.first_output_at.map(Into::into)
    }

    /// When it ended, or null before.
    async fn finished_at(&self) -> Option<DateTime> {
        self.row.finished_at.map(Into::into)
    }

    /// Grows with every change; drop anything older than what you have.
    async fn revision(&self) -> i32 {
        self.row.revision
    }
}

/// The error that a run ended with.
pub fn failure(row: &GenerationRow) -> Option<AppError> {
    let code = ErrorCode::parse(row.error_code.as_deref()?).unwrap_or(ErrorCode::GenerationFailed);
    let message = row.error_message.clone().unwrap_or_else(|| Failure::interrupted().message);
    let error = AppError::new(code, message);
    Some(match code {
        ErrorCode::ProviderUnavailable => error.with_details(Details::Provider {
            model: row.requested_model.clone(),
            retry_after: row
                .retry_after_seconds
                .and_then(|time| u64::try_from(time).ok())
                .map(Duration::from_secs),
        }),
        _ => error,
    })
}

/// Why output ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "generations::FinishReason")]
pub enum FinishReason {
    /// The model was done.
    Stop,
    /// The largest allowed answer was reached.
    Length,
    /// The balance covered no more.
    CreditLimit,
    /// The model waits for tools.
    ToolCalls,
    /// The provider or moderation withheld the rest.
    ContentFilter,
    /// Somebody stopped it.
    Canceled,
    /// It failed.
    Error,
}

/// What paid work cost, or may cost while it runs.
#[derive(SimpleObject)]
pub struct Charge {
    /// Credits reserved and not yet settled; 0 once settled.
    credits_held: Decimal,
    /// Credits spent, or null until settled.
    credits_charged: Option<Decimal>,
    /// What was used, or null until the provider said.
    usage: Option<Usage>,
}

impl From<&GenerationRow> for Charge {
    fn from(row: &GenerationRow) -> Self {
        let held = if row.finished_at.is_some() { 0 } else { row.credits_held };
        let usage = row.usage_source.as_deref().map(|source| Usage {
            input_tokens: row.input_tokens.unwrap_or_default(),
            cached_input_tokens: row.cached_input_tokens.unwrap_or_default(),
            cache_write_tokens: row.cache_write_tokens.unwrap_or_default(),
            output_tokens: row.output_tokens.unwrap_or_default(),
            reasoning_tokens: row.reasoning_tokens.unwrap_or_default(),
            source: if source == "provider" { UsageSource::Provider } else { UsageSource::Estimated },
        });
        Self {
            credits_held: Credits(held).into(),
            credits_charged: row.credits_charged.map(|charged| Credits(charged).into()),
            usage,
        }
    }
}

/// Amounts a model used; an amount that does not apply is 0.
#[derive(SimpleObject)]
pub struct Usage {
    /// Prompt tokens at full price.
    input_tokens: i32,
    /// Prompt tokens read from the provider's cache.
    cached_input_tokens: i32,
    /// Prompt tokens written to the provider's cache.
    cache_write_tokens: i32,
    /// Answer tokens without reasoning.
    output_tokens: i32,
    /// Reasoning tokens.
    reasoning_tokens: i32,
    /// Who counted.
    source: UsageSource,
}

/// Who counted an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "credits::UsageSource")]
pub enum UsageSource {
    /// The provider reported all of it.
    Provider,
    /// The server estimated all of it.
    Estimated,
}

/// Result of a message that may be answered.
#[derive(SimpleObject)]
pub struct SendMessagePayload {
    /// Conversation, new when none was named; null when nothing was sent.
    pub conversation: Option<Conversation>,
    /// Message of the person, or null when nothing was sent.
    pub user_message: Option<Message>,
    /// Answer, to watch with `messageStream`; null when none was asked for. It is QUEUED or RUNNING, unless the call was a repeat or waited for the end by the header `Prefer: wait`.
    pub assistant_message: Option<Message>,
    /// Credits after the call, or null for members without sight of the balance.
    pub credit_balance: Option<CreditBalance>,
    /// Every limit the call drew on, as it stands now.
    pub quotas: Vec<Quota>,
    /// What the caller can put right; empty on success.
    pub user_errors: Vec<UserError>,
}

/// Result of a call to a model.
#[derive(SimpleObject)]
pub struct GenerationPayload {
    /// The run, to watch with `generationChanged`, or `messageStream` for its message; null when none was started.
    pub generation: Option<Generation>,
    /// Credits after the call, or null for members without sight of the balance.
    pub credit_balance: Option<CreditBalance>,
    /// Every limit the call drew on, as it stands now.
    pub quotas: Vec<Quota>,
    /// What the caller can put right; empty on success.
    pub user_errors: Vec<UserError>,
}
