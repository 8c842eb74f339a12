//! Events of a conversation.

use std::sync::Arc;

use async_graphql::{Interface, SimpleObject};

use super::types::Conversation;
use crate::{
    domains::conversations::{self, ConversationRow, Happened, MessageRow},
    graphql::Message,
    platform::ids::Id,
};

/// Entry in the log of a conversation, without the text being written.
#[derive(Interface)]
#[graphql(
    field(name = "conversation_id", ty = "Id<ConversationRow>", desc = "Conversation it happened in."),
    field(name = "sequence", ty = "i32", desc = "Place in the log, growing by exactly 1.")
)]
pub enum ConversationEvent {
    Snapshot(ConversationSnapshot),
    Updated(ConversationUpdated),
    Message(MessageUpdated),
    Deleted(MessageDeleted),
}

/// First event when `after` is absent or too old: the client reads the messages again.
#[derive(SimpleObject)]
pub struct ConversationSnapshot {
    /// Conversation it happened in.
    #[graphql(owned)]
    conversation_id: Id<ConversationRow>,
    /// Place in the log, growing by exactly 1.
    #[graphql(owned)]
    sequence: i32,
    /// The conversation as of `sequence`.
    conversation: Conversation,
}

/// Title, branch, labels or another field of the conversation changed.
#[derive(SimpleObject)]
pub struct ConversationUpdated {
    /// Conversation it happened in.
    #[graphql(owned)]
    conversation_id: Id<ConversationRow>,
    /// Place in the log, growing by exactly 1.
    #[graphql(owned)]
    sequence: i32,
    /// The conversation now.
    conversation: Conversation,
}

/// A message was added, or changed in more than text being written.
#[derive(SimpleObject)]
pub struct MessageUpdated {
    /// Conversation it happened in.
    #[graphql(owned)]
    conversation_id: Id<ConversationRow>,
    /// Place in the log, growing by exactly 1.
    #[graphql(owned)]
    sequence: i32,
    /// The message now; watch it with `messageStream` while it is QUEUED or RUNNING.
    message: Message,
}

/// A message and all that followed it were removed.
#[derive(SimpleObject)]
pub struct MessageDeleted {
    /// Conversation it happened in.
    #[graphql(owned)]
    conversation_id: Id<ConversationRow>,
    /// Place in the log, growing by exactly 1.
    #[graphql(owned)]
    sequence: i32,
    /// Id of the message.
    message_id: Id<MessageRow>,
}

impl From<conversations::ConversationEvent> for ConversationEvent {
    fn from(event: conversations::ConversationEvent) -> Self {
        let (conversation_id, sequence) = (event.conversation_id.into(), event.sequence);
        match event.what {
            Happened::Snapshot(row) => {
                let conversation = Conversation(Arc::from(row));
                Self::Snapshot(ConversationSnapshot { conversation_id, sequence, conversation })
            }
            Happened::Updated(row) => {
                let conversation = Conversation(Arc::from(row));
                Self::Updated(ConversationUpdated { conversation_id, sequence, conversation })
            }
            Happened::Message(row) => {
                let message = Message::of_row(Arc::from(row));
                Self::Message(MessageUpdated { conversation_id, sequence, message })
            }
            Happened::MessageDeleted(id) => {
                Self::Deleted(MessageDeleted { conversation_id, sequence, message_id: id.into() })
            }
        }
    }
}
