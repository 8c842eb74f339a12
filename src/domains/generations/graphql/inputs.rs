//! Inputs of sending.

use async_graphql::{InputObject, MaybeUndefined, OneofObject, Result};

use crate::{
    domains::{
        accounts::AccountRow,
        conversations::{
            AnswerOptions, ConversationRow, MessageRow,
            graphql::{GenerationOptionsInput, MessagePartInput, texts},
        },
        generations::{Follows, Turn, TurnRequest},
    },
    error::AppError,
    platform::ids::Id,
};

/// Message to a conversation.
#[derive(InputObject)]
pub struct SendMessageInput {
    /// Id of the conversation; absent: a new one is created.
    conversation_id: Option<Id<ConversationRow>>,
    /// Account of the new conversation; refused together with `conversationId`.
    account_id: Option<Id<AccountRow>>,
    /// Content, 1 to 20 parts.
    parts: Vec<MessagePartInput>,
    /// Message this one follows; `head` when absent. To branch, name the parent of the message that is replaced, or null
    /// when it has none.
    parent_message_id: MaybeUndefined<Id<MessageRow>>,
    /// Key of the model for this answer; that of the conversation when absent.
    model: Option<String>,
    /// Wishes for this answer.
    options: Option<GenerationOptionsInput>,
    /// 8 to 255 characters, new for each intent; the same key and input within 24 hours give the first result.
    idempotency_key: String,
}

impl SendMessageInput {
    /// The turn and its idempotency key.
    pub fn into_request(self) -> Result<(TurnRequest, String), AppError> {
        let request = TurnRequest {
            conversation_id: self.conversation_id.map(|id| id.0),
            account_id: self.account_id.map(|id| id.0),
            follows: match self.parent_message_id {
                MaybeUndefined::Undefined => Follows::Head,
                MaybeUndefined::Null => Follows::Nothing,
                MaybeUndefined::Value(id) => Follows::Message(id.0),
            },
            parts: texts(self.parts),
            model: self.model,
            options: wishes(self.options)?,
            one_shot: None,
        };
        Ok((request, self.idempotency_key))
    }
}

/// Another answer to the same message.
#[derive(InputObject)]
pub struct RegenerateMessageInput {
    /// Answer to replace; it stays as a sibling.
    message_id: Id<MessageRow>,
    /// Key of the model; that of the replaced answer when absent.
    model: Option<String>,
    /// Wishes for the answer.
    options: Option<GenerationOptionsInput>,
    /// 8 to 255 characters, new for each intent; the same key and input within 24 hours give the first result.
    idempotency_key: String,
}

impl RegenerateMessageInput {
    /// The turn and its idempotency key.
    pub fn into_request(self) -> Result<(TurnRequest, String), AppError> {
        let request = TurnRequest {
            conversation_id: None,
            account_id: None,
            follows: Follows::SameAs(self.message_id.0),
            parts: Vec::new(),
            model: self.model,
            options: wishes(self.options)?,
            one_shot: None,
        };
        Ok((request, self.idempotency_key))
    }
}

/// One-shot call of a language model, kept for 24 hours outside any conversation.
#[derive(InputObject)]
pub struct GenerateInput {
    /// Account that owns and pays; absent: `viewer.account`.
    account_id: Option<Id<AccountRow>>,
    /// Turns so far, the newest last; it must come from the user.
    turns: Vec<TurnInput>,
    /// Instructions for the model.
    system_prompt: Option<String>,
    /// Key of the model; the default of the plan when absent.
    model: Option<String>,
    /// Wishes for the answer.
    options: Option<GenerationOptionsInput>,
    /// 8 to 255 characters, new for each intent; the same key and input within 24 hours give the first result.
    idempotency_key: String,
}

/// One turn of a one-shot call; exactly one.
#[derive(OneofObject)]
enum TurnInput {
    /// Said by the user.
    User(Vec<MessagePartInput>),
    /// Said by the model before.
    Assistant(Vec<MessagePartInput>),
}

impl From<TurnInput> for Turn {
    fn from(input: TurnInput) -> Self {
        match input {
            TurnInput::User(parts) => Self { is_from_user: true, parts: texts(parts) },
            TurnInput::Assistant(parts) => Self { is_from_user: false, parts: texts(parts) },
        }
    }
}

impl GenerateInput {
    /// The call and its idempotency key.
    pub fn into_request(self) -> Result<(TurnRequest, String), AppError> {
        let options = wishes(self.options)?;
        let turns = self.turns.into_iter().map(Turn::from).collect();
        let account_id = self.account_id.map(|id| id.0);
        let request = TurnRequest::one_shot(account_id, turns, self.system_prompt, self.model, options)?;
        Ok((request, self.idempotency_key))
    }
}

/// Without wishes, those of the conversation or of the model hold.
fn wishes(input: Option<GenerationOptionsInput>) -> Result<AnswerOptions, AppError> {
    Ok(input.map(AnswerOptions::try_from).transpose()?.unwrap_or_default())
}
