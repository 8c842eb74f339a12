//! Objects of runs, and the fields of a message that a run writes.

use std::{sync::Arc, time::Duration};

use async_graphql::{Context, Enum, Interface, Object, Result, SimpleObject};

use crate::{
    domains::{
        catalog::Catalog,
        conversations::{
            Part,
            graphql::{Conversation, MessageRef, RunStatus},
        },
        credits::{
            self, Credits,
            graphql::{CreditBalance, Quota},
        },
        generations::{self, Content, Failure, GenerationRow},
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
pub struct Generation(pub Arc<GenerationRow>);

/// One run of a model, of whatever kind; also the request log of an account.
#[Object]
impl Generation {
    /// Id with the prefix `gen_`.
    pub async fn id(&self) -> Id<GenerationRow> {
        self.0.id.into()
    }

    /// Progress.
    async fn status(&self) -> RunStatus {
        self.0.status().into()
    }

    /// Message being written, or null when no message is.
    async fn message(&self, ctx: &Context<'_>) -> Result<Option<Message>> {
        let Some(id) = self.0.message_id else { return Ok(None) };
        Ok(ctx.loaders().messages.load_one(id).await.map_err(raise)?.map(Message::of_row))
    }

    /// Key of the model that was asked for, an alias included.
    async fn requested_model(&self) -> &str {
        &self.0.requested_model
    }

    /// Model that answers or answered, or null before the first attempt.
    async fn model(&self, ctx: &Context<'_>) -> Option<Model> {
        ctx.handle::<Catalog>().find_model(&self.0.model_key).map(Model)
    }

    /// Why output ended, or null until it did.
    async fn finish_reason(&self) -> Option<FinishReason> {
        generations::FinishReason::parse(self.0.finish_reason.as_deref()?).map(Into::into)
    }

    /// True when the allowed output was lowered to what the balance covers.
    async fn is_output_capped(&self) -> bool {
        self.0.is_output_capped
    }

    /// What it costs.
    async fn charge(&self) -> Charge {
        Charge::from(&*self.0)
    }

    /// Why it failed, or null.
    async fn error(&self) -> Option<UserError> {
        failure(&self.0).map(|error| UserError::from(&error))
    }

    /// When it was asked for.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// First output, or null before it.
    async fn first_output_at(&self) -> Option<DateTime> {
        self.0.first_output_at.map(Into::into)
    }

    /// When it ended, or null before.
    async fn finished_at(&self) -> Option<DateTime> {
        self.0.finished_at.map(Into::into)
    }

    /// Grows with every change; drop anything older than what you have.
    async fn revision(&self) -> i32 {
        self.0.revision
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

/// Fields of a message that a run writes.
#[derive(Clone)]
pub struct MessageRun(pub MessageRef);

impl MessageRun {
    /// The content as of now, or as of the event that brought this message.
    async fn content(&self, ctx: &Context<'_>) -> Result<Content> {
        if let Some(content) = &self.0.content {
            return Ok(content.clone());
        }
        let running = ctx.loaders().running_contents.load_one(self.0.row.id).await.map_err(raise)?;
        Ok(running.unwrap_or_else(|| Content::of_events([])))
    }
}

#[Object]
impl MessageRun {
    /// Progress; messages written by people are SUCCEEDED.
    async fn status(&self, ctx: &Context<'_>) -> Result<RunStatus> {
        Ok(self.content(ctx).await?.status.into())
    }

    /// Content in order.
    async fn parts(&self, ctx: &Context<'_>) -> Result<Vec<MessagePart>> {
        let content = self.content(ctx).await?;
        let part = |(index, part): (usize, &Part)| {
            let index = i32::try_from(index).unwrap_or(i32::MAX);
            match part {
                Part::Text { text } => MessagePart::Text(TextPart { index, text: text.clone() }),
                Part::Reasoning { text } => {
                    MessagePart::Reasoning(ReasoningPart { index, text: text.clone() })
                }
            }
        };
        Ok(content.parts.iter().enumerate().map(part).collect())
    }

    /// All text parts joined, without reasoning.
    async fn text(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(Part::joined_text(&self.content(ctx).await?.parts))
    }

    /// Run that made it, or null when a person did.
    async fn generation(&self, ctx: &Context<'_>) -> Result<Option<Generation>> {
        if self.0.row.role != "assistant" {
            return Ok(None);
        }
        if let Some(row) = &self.0.generation {
            return Ok(Some(Generation(row.clone())));
        }
        let row = ctx.loaders().generations_of_messages.load_one(self.0.row.id).await.map_err(raise)?;
        Ok(row.map(Generation))
    }

    /// Sequence of the newest stream event contained here; 0 when it was never streamed.
    async fn stream_sequence(&self, ctx: &Context<'_>) -> Result<i32> {
        Ok(self.content(ctx).await?.sequence)
    }
}

/// Piece of a message.
#[derive(Interface)]
#[graphql(field(
    name = "index",
    ty = "i32",
    desc = "Place in the message, from 0; stays the same while the message grows."
))]
pub enum MessagePart {
    Text(TextPart),
    Reasoning(ReasoningPart),
}

/// Text, usually Markdown; never trusted as HTML.
#[derive(SimpleObject)]
pub struct TextPart {
    /// Place in the message, from 0; stays the same while the message grows.
    #[graphql(owned)]
    index: i32,
    /// The text.
    text: String,
}

/// What the model thought before it answered.
#[derive(SimpleObject)]
pub struct ReasoningPart {
    /// Place in the message, from 0; stays the same while the message grows.
    #[graphql(owned)]
    index: i32,
    /// Thoughts, or an empty text when the provider hides them.
    text: String,
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
