//! Events of a message being written.

use async_graphql::{Interface, SimpleObject};

use super::types::{FinishReason, failure};
use crate::{
    domains::{
        conversations::{MessageRow, RunStatus},
        credits::graphql::CreditBalance,
        generations::{self, Content, Failure, Finished, PartKind, WatchEvent},
    },
    error::AppError,
    graphql::{Message, errors::UserError},
    platform::ids::Id,
};

/// Entry in the log of one message being written; ends with MessageFinished or MessageFailed.
#[derive(Interface)]
#[graphql(
    field(name = "message_id", ty = "Id<MessageRow>", desc = "Message being written."),
    field(name = "sequence", ty = "i32", desc = "Place in the log, growing by exactly 1.")
)]
pub enum MessageStreamEvent {
    Snapshot(MessageSnapshot),
    Text(TextDelta),
    Reasoning(ReasoningDelta),
    Finished(MessageFinished),
    Failed(MessageFailed),
}

/// The message as of `sequence`; replaces everything the client has.
#[derive(SimpleObject)]
pub struct MessageSnapshot {
    /// Message being written.
    #[graphql(owned)]
    message_id: Id<MessageRow>,
    /// Place in the log, growing by exactly 1.
    #[graphql(owned)]
    sequence: i32,
    /// The message.
    message: Message,
}

/// Text to append to a text part, which is created when missing.
#[derive(SimpleObject)]
pub struct TextDelta {
    /// Message being written.
    #[graphql(owned)]
    message_id: Id<MessageRow>,
    /// Place in the log, growing by exactly 1.
    #[graphql(owned)]
    sequence: i32,
    /// Part to append to.
    part_index: i32,
    /// Text to append.
    text: String,
}

/// Text to append to a reasoning part, which is created when missing.
#[derive(SimpleObject)]
pub struct ReasoningDelta {
    /// Message being written.
    #[graphql(owned)]
    message_id: Id<MessageRow>,
    /// Place in the log, growing by exactly 1.
    #[graphql(owned)]
    sequence: i32,
    /// Part to append to.
    part_index: i32,
    /// Text to append.
    text: String,
}

/// The message is complete, stopped or waiting for a tool; last event.
#[derive(SimpleObject)]
pub struct MessageFinished {
    /// Message being written.
    #[graphql(owned)]
    message_id: Id<MessageRow>,
    /// Place in the log, growing by exactly 1.
    #[graphql(owned)]
    sequence: i32,
    /// Why output ended.
    finish_reason: FinishReason,
    /// The finished message.
    message: Message,
    /// Credits after settling, or null for watchers without sight of the balance.
    credit_balance: Option<CreditBalance>,
}

/// The message failed; what was written is kept. Last event.
#[derive(SimpleObject)]
pub struct MessageFailed {
    /// Message being written.
    #[graphql(owned)]
    message_id: Id<MessageRow>,
    /// Place in the log, growing by exactly 1.
    #[graphql(owned)]
    sequence: i32,
    /// Why.
    error: UserError,
    /// True when asking again may work.
    is_retryable: bool,
    /// The message as it was left.
    message: Message,
    /// Credits after settling, or null for watchers without sight of the balance.
    credit_balance: Option<CreditBalance>,
}

impl MessageStreamEvent {
    /// The event of this message as clients see it.
    pub fn new(message_id: Id<MessageRow>, event: WatchEvent) -> Self {
        match event {
            WatchEvent::Snapshot(snapshot) => Self::Snapshot(MessageSnapshot {
                message_id,
                sequence: snapshot.content.sequence,
                message: Message::at(snapshot.message, snapshot.content, None),
            }),
            WatchEvent::Delta(delta) => {
                let (sequence, part_index) = (delta.sequence, i32::from(delta.part_index));
                let text = delta.text.clone();
                match delta.kind {
                    PartKind::Text => Self::Text(TextDelta { message_id, sequence, part_index, text }),
                    PartKind::Reasoning => {
                        Self::Reasoning(ReasoningDelta { message_id, sequence, part_index, text })
                    }
                }
            }
            WatchEvent::Finished(finished) => Self::end(message_id, &finished),
        }
    }

    fn end(message_id: Id<MessageRow>, finished: &Finished) -> Self {
        let Finished { message, generation, balance } = finished.clone();
        let credit_balance = Some(CreditBalance { account_id: message.account_id, balance });
        let sequence = message.stream_sequence;
        let content = Content::of_finished(&message);
        let is_success = matches!(message.status(), RunStatus::Succeeded | RunStatus::Canceled);
        let error = failure(&generation);
        let is_retryable = generation.is_retryable.unwrap_or(true);
        let reason = generation.finish_reason.as_deref().and_then(generations::FinishReason::parse);
        let message = Message::at(message, content, Some(std::sync::Arc::new(generation)));
        if is_success {
            let finish_reason = reason.unwrap_or(generations::FinishReason::Stop).into();
            return Self::Finished(MessageFinished {
                message_id,
                sequence,
                finish_reason,
                message,
                credit_balance,
            });
        }
        let error = error.unwrap_or_else(|| {
            let Failure { code, message, .. } = Failure::interrupted();
            AppError::new(code, message)
        });
        let error = UserError::from(&error);
        Self::Failed(MessageFailed { message_id, sequence, error, is_retryable, message, credit_balance })
    }
}
