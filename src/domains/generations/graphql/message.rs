//! The fields of a message that a run writes.

use async_graphql::{Context, Interface, Object, Result, SimpleObject};

use super::types::Generation;
use crate::{
    domains::{
        conversations::{
            Part,
            graphql::{MessageRef, RunStatus},
        },
        generations::Content,
    },
    graphql::{ContextExt, errors::raise},
};

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
            return Ok(Some(Generation::of_row(row.clone())));
        }
        let row = ctx.loaders().generations_of_messages.load_one(self.0.row.id).await.map_err(raise)?;
        Ok(row.map(Generation::of_row))
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
