//! Inputs of conversations.

use async_graphql::{InputObject, MaybeUndefined, OneofObject};

use crate::{
    domains::{
        accounts::AccountRow,
        conversations::{ConversationRow, MessageRow},
    },
    platform::ids::Id,
};

/// New conversation.
#[derive(InputObject)]
pub struct CreateConversationInput {
    /// Account that owns and pays; absent: `viewer.account`.
    pub account_id: Option<Id<AccountRow>>,
    /// Title; made from the first message when absent.
    pub title: Option<String>,
    /// Instructions for the model; those of the preferences when absent.
    pub system_prompt: Option<String>,
    /// Key of the model; the default of the person when absent.
    pub model: Option<String>,
    /// 8 to 255 characters, new for each intent; the same key and input within 24 hours give the first result.
    pub idempotency_key: String,
}

/// Change of a conversation; absent fields stay.
#[derive(InputObject)]
pub struct UpdateConversationInput {
    /// Id of the conversation.
    pub conversation_id: Id<ConversationRow>,
    /// New title; null lets the server make one.
    pub title: MaybeUndefined<String>,
    /// New instructions; null removes them.
    pub system_prompt: MaybeUndefined<String>,
    /// Key of the new model; null restores the default.
    pub model: MaybeUndefined<String>,
}

/// Content of one message part; exactly one.
#[derive(OneofObject)]
pub enum MessagePartInput {
    /// Text, 1 to 100000 characters.
    Text(String),
}

/// The texts of the parts of a message.
pub fn texts(parts: Vec<MessagePartInput>) -> Vec<String> {
    let text = |part: MessagePartInput| match part {
        MessagePartInput::Text(text) => text,
    };
    parts.into_iter().map(text).collect()
}

/// Correction of an own message in place; no answer follows.
#[derive(InputObject)]
pub struct EditMessageInput {
    /// Id of the message.
    pub message_id: Id<MessageRow>,
    /// New content.
    pub parts: Vec<MessagePartInput>,
}
