//! Inputs of conversations.

use async_graphql::{InputObject, MaybeUndefined, OneofObject};

use super::options::GenerationOptionsInput;
use crate::{
    domains::{
        accounts::AccountRow,
        conversations::{AnswerOptions, ConversationChanges, ConversationRow, MessageRow, NewConversation},
    },
    error::AppError,
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
    /// Wishes for the answers; those of a message win, field by field.
    pub options: Option<GenerationOptionsInput>,
    /// Labels, at most 20 of 1 to 40 characters; equal ones are kept once.
    #[graphql(default)]
    pub tags: Vec<String>,
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
    /// New wishes for the answers, replacing all old ones; null removes them.
    pub options: MaybeUndefined<GenerationOptionsInput>,
    /// True marks it as a favourite.
    pub is_starred: Option<bool>,
    /// True puts it away.
    pub is_archived: Option<bool>,
    /// New labels, replacing the old ones.
    pub tags: Option<Vec<String>>,
}

impl CreateConversationInput {
    /// What it is made of, and its idempotency key.
    pub fn into_new(self) -> Result<(NewConversation, String), AppError> {
        let new = NewConversation {
            account_id: self.account_id.map(|id| id.0),
            title: self.title,
            system_prompt: self.system_prompt,
            model: self.model,
            options: self.options.map(AnswerOptions::try_from).transpose()?.unwrap_or_default(),
            tags: self.tags,
        };
        Ok((new, self.idempotency_key))
    }
}

impl UpdateConversationInput {
    pub fn into_changes(self) -> Result<ConversationChanges, AppError> {
        let options = change(self.options).map(|options| match options {
            Some(options) => AnswerOptions::try_from(options),
            None => Ok(AnswerOptions::default()),
        });
        Ok(ConversationChanges {
            title: change(self.title),
            system_prompt: change(self.system_prompt),
            model_key: change(self.model),
            options: options.transpose()?,
            is_starred: self.is_starred,
            is_archived: self.is_archived,
            tags: self.tags,
        })
    }
}

/// `Some(None)` empties a value, `None` leaves it.
fn change<T>(value: MaybeUndefined<T>) -> Option<Option<T>> {
    match value {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
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
