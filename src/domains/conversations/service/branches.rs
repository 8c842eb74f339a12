//! Changes of the tree of messages.

use uuid::Uuid;

use super::Conversations;
use crate::{
    domains::{
        accounts::Viewer,
        conversations::{
            model::{ConversationRow, MessageRow, Part},
            repo,
            rules::require_parts,
        },
    },
    error::{AppError, Result},
};

impl Conversations {
    /// Shows the branch through a message; its newest descendant becomes the head.
    pub async fn select_branch(&self, viewer: Viewer, message_id: Uuid) -> Result<ConversationRow> {
        self.tasks.require_running()?;
        let this = self.clone();
        let work = async move {
            let mut conn = this.db.conn().await?;
            let row = repo::select_branch(&mut conn, viewer.user_id, message_id).await?;
            this.hint(row.as_ref().map(|row| row.id));
            Ok::<_, AppError>(row)
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
        require_parts("parts", &parts)?;
        let parts: Vec<Part> = parts.into_iter().map(|text| Part::Text { text }).collect();
        let parts = serde_json::json!(parts);
        let this = self.clone();
        let work = async move {
            let mut conn = this.db.conn().await?;
            let row = repo::edit_message(&mut conn, viewer.user_id, message_id, &parts).await?;
            this.hint(row.as_ref().and_then(|row| row.conversation_id));
            Ok::<_, AppError>(row)
        };
        let row = self.tasks.run(work).await?;
        row.ok_or_else(|| AppError::not_found("messageId", "message of yours"))
    }

    /// Removes a message and all that follows it. Answers in progress among it stop within a quarter of a second, and are
    /// charged for what was made.
    pub async fn delete_message(&self, viewer: Viewer, message_id: Uuid) -> Result<()> {
        self.tasks.require_running()?;
        let this = self.clone();
        let work = async move {
            let mut conn = this.db.conn().await?;
            let conversation_id = repo::delete_message(&mut conn, viewer.user_id, message_id).await?;
            this.hint(conversation_id);
            Ok::<_, AppError>(conversation_id)
        };
        let conversation_id = self.tasks.run(work).await?;
        conversation_id.map(drop).ok_or_else(|| AppError::not_found("id", "message"))
    }

    /// After the commit of a change, if there was one.
    pub(super) fn hint(&self, changed: Option<Uuid>) {
        if let Some(id) = changed {
            self.watch.hint(id);
        }
    }
}
