//! Changes of the tree of messages.

use uuid::Uuid;

use super::{Conversations, require_parts};
use crate::{
    domains::{
        accounts::Viewer,
        conversations::{
            model::{ConversationRow, MessageRow, Part},
            repo,
        },
    },
    error::{AppError, Result},
};

impl Conversations {
    /// Shows the branch through a message; its newest descendant becomes the head.
    pub async fn select_branch(&self, viewer: Viewer, message_id: Uuid) -> Result<ConversationRow> {
        self.tasks.require_running()?;
        let db = self.db.clone();
        let work = async move {
            let mut conn = db.conn().await?;
            repo::select_branch(&mut conn, viewer.user_id, message_id).await.map_err(AppError::from)
        };
        self.tasks.run(work).await?.ok_or_else(|| AppError::not_found("id", "message"))
    }

    /// Corrects a message that the viewer wrote. Answers that were given stay as they are.
    pub async fn edit_message(
        &self,
        viewer: Viewer,
        message_id: Uuid,
        parts: Vec<String>,
    ) -> Result<MessageRow> {
        self.tasks.require_running()?;
        require_parts(&parts)?;
        let parts: Vec<Part> = parts.into_iter().map(|text| Part::Text { text }).collect();
        let parts = serde_json::json!(parts);
        let db = self.db.clone();
        let work = async move {
            let mut conn = db.conn().await?;
            repo::edit_message(&mut conn, viewer.user_id, message_id, &parts).await.map_err(AppError::from)
        };
        let row = self.tasks.run(work).await?;
        row.ok_or_else(|| AppError::not_found("messageId", "message of yours"))
    }

    /// Removes a message and all that follows it. Answers in progress among it stop within a quarter of a second, and are
    /// charged for what was made.
    pub async fn delete_message(&self, viewer: Viewer, message_id: Uuid) -> Result<()> {
        self.tasks.require_running()?;
        let db = self.db.clone();
        let work = async move {
            let mut conn = db.conn().await?;
            repo::delete_message(&mut conn, viewer.user_id, message_id).await.map_err(AppError::from)
        };
        let is_deleted = self.tasks.run(work).await?;
        is_deleted.then_some(()).ok_or_else(|| AppError::not_found("id", "message"))
    }
}
