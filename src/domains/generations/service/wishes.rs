//! What a person asks for, and what of it is refused before anything is read.

use serde::Serialize;
use uuid::Uuid;

use super::OneShot;
use crate::{
    domains::{
        conversations::{AnswerOptions, ConversationRow, require_parts},
        generations::repo::Follows,
    },
    error::{AppError, Result},
};

/// What a model is to answer: a new message of a person, or one that is there once more.
#[derive(Debug, Clone, Serialize)]
pub struct TurnRequest {
    /// `None` starts a new conversation, or means that of the message that is followed.
    pub conversation_id: Option<Uuid>,
    /// Account of a new conversation.
    pub account_id: Option<Uuid>,
    pub follows: Follows,
    /// Content of the new message; empty when there is none.
    pub parts: Vec<String>,
    /// `None` for that of the answer that gets an alternative, of the conversation, or of the catalogue.
    pub model: Option<String>,
    /// Where there are none, those of the conversation hold.
    pub options: AnswerOptions,
    /// What a call outside any conversation has instead of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_shot: Option<OneShot>,
}

impl TurnRequest {
    /// Refuses what no model is asked.
    pub fn validate(&self) -> Result<()> {
        match self.follows {
            Follows::SameAs(_) => {}
            // Of a one-shot call the turns are of its own making.
            Follows::Head | Follows::Message(_) | Follows::Nothing if self.one_shot.is_some() => {}
            Follows::Head | Follows::Message(_) | Follows::Nothing => self.validate_message()?,
        }
        self.options.validate()
    }

    /// Where the parts of the new message stand in the input.
    pub(super) fn parts_path(&self) -> String {
        self.one_shot.as_ref().map_or_else(|| "parts".to_owned(), OneShot::newest_path)
    }

    /// Where in the input what is to be answered stands.
    pub(super) fn asked_path(&self) -> String {
        match self.follows {
            Follows::SameAs(_) => "messageId".to_owned(),
            Follows::Head | Follows::Message(_) | Follows::Nothing => self.parts_path(),
        }
    }

    /// The turn begins a conversation.
    pub(super) fn is_new_conversation(&self, known: Option<&ConversationRow>) -> bool {
        known.is_none() && self.one_shot.is_none()
    }

    fn validate_message(&self) -> Result<()> {
        require_parts("parts", &self.parts)?;
        if self.conversation_id.is_some() && self.account_id.is_some() {
            return Err(AppError::invalid(
                "accountId",
                "The account of a conversation that exists cannot be chosen.",
            ));
        }
        if self.conversation_id.is_none() && self.follows != Follows::Head {
            return Err(AppError::invalid(
                "parentMessageId",
                "The first message of a new conversation follows none.",
            ));
        }
        Ok(())
    }
}
