//! A turn that was accepted, and the same read again.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Generations;
use crate::{
    domains::{
        accounts::Viewer,
        conversations::{ConversationRow, MessageRow, find_conversation},
        credits::{Balance, Quota},
        generations::{
            model::{Content, GenerationRow},
            repo,
        },
    },
    error::{AppError, Result},
};

/// A turn that was accepted, now or under the same key before.
#[derive(Debug, Clone)]
pub struct Started {
    /// `None` of a one-shot answer.
    pub conversation: Option<ConversationRow>,
    /// What is answered, if it is stored.
    pub user_message: Option<MessageRow>,
    pub answer: MessageRow,
    /// Of the answer: empty at first, more when an earlier result is repeated.
    pub content: Content,
    pub generation: GenerationRow,
    pub balance: Balance,
    /// Limits of the plan that the turn counts in; all of them when an earlier result is repeated.
    pub quotas: Vec<Quota>,
}

/// Result under an idempotency key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TurnIds {
    pub conversation_id: Option<Uuid>,
    pub user_message_id: Option<Uuid>,
    pub answer_id: Uuid,
}

impl TurnIds {
    pub(super) fn of(started: &Started) -> Self {
        Self {
            conversation_id: started.conversation.as_ref().map(|conversation| conversation.id),
            user_message_id: started.user_message.as_ref().map(|message| message.id),
            answer_id: started.answer.id,
        }
    }
}

impl Generations {
    /// A turn that was accepted before, as it stands now.
    pub(super) async fn read_turn(&self, viewer: Viewer, ids: TurnIds) -> Result<Started> {
        let mut conn = self.db.conn().await?;
        let gone = || AppError::not_found("idempotencyKey", "message");
        let conversation = match ids.conversation_id {
            Some(id) => Some(find_conversation(&mut conn, viewer.user_id, id).await?.ok_or_else(gone)?),
            None => None,
        };
        let user_message = match ids.user_message_id {
            Some(id) => repo::find_watched(&mut conn, viewer.user_id, id, 0).await?.map(|user| user.message),
            None => None,
        };
        let answer =
            repo::find_watched(&mut conn, viewer.user_id, ids.answer_id, 0).await?.ok_or_else(gone)?;
        let content = match answer.message.status().is_terminal() {
            true => Content::of_finished(&answer.message),
            false => Content::of_events(&answer.events),
        };
        drop(conn);
        let quotas = self.subscriptions.quotas(viewer.user_id, answer.message.account_id).await?;
        Ok(Started {
            conversation,
            user_message,
            answer: answer.message,
            content,
            generation: answer.generation.ok_or_else(gone)?,
            balance: answer.balance,
            quotas: quotas.unwrap_or_default(),
        })
    }
}
