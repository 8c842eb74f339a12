//! Creating, changing and removing conversations.

use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{model::ConversationRow, repo};
use crate::{
    domains::{accounts::Viewer, catalog::Catalog},
    error::{AppError, Result},
    platform::{
        clock::Clock,
        ids::new_uuid,
        postgres::{
            Db,
            idempotency::{self, Intent},
        },
        tasks::Tasks,
    },
};

pub use repo::ConversationChanges;

/// What a new conversation is made of; absent values have defaults.
#[derive(Debug, Serialize)]
pub struct NewConversation {
    pub account_id: Option<Uuid>,
    pub title: Option<String>,
    pub system_prompt: Option<String>,
    pub model: Option<String>,
}

/// The use cases; clones share everything.
#[derive(Clone)]
pub struct Conversations {
    db: Db,
    clock: Clock,
    tasks: Tasks,
    catalog: Catalog,
}

#[derive(Serialize, Deserialize)]
struct Created {
    conversation_id: Uuid,
}

impl Conversations {
    pub fn new(db: Db, clock: Clock, tasks: Tasks, catalog: Catalog) -> Self {
        Self { db, clock, tasks, catalog }
    }

    /// Creates an empty conversation, once for an idempotency key.
    pub async fn create(&self, viewer: Viewer, new: NewConversation, key: String) -> Result<ConversationRow> {
        self.tasks.require_running()?;
        let intent = Intent::try_new("create_conversation", key, &new)?;
        let title = new.title.as_deref().map(require_title).transpose()?;
        let system_prompt = new.system_prompt.map(require_system_prompt).transpose()?;
        if let Some(model) = &new.model {
            require_model(&self.catalog, model)?;
        }
        let account_id = new.account_id.unwrap_or(viewer.personal_account_id());
        let now = self.clock.now();
        let row = ConversationRow {
            id: new_uuid(&self.clock),
            account_id,
            created_by: viewer.user_id,
            title,
            system_prompt,
            model_key: new.model,
            head_id: None,
            message_count: 0,
            created_at: now,
            updated_at: now,
        };
        let this = self.clone();
        self.tasks.run(async move { this.insert_once(viewer, row, intent).await }).await
    }

    async fn insert_once(
        &self,
        viewer: Viewer,
        row: ConversationRow,
        intent: Intent,
    ) -> Result<ConversationRow> {
        let mut conn = self.db.conn().await?;
        let is_ours = conn
            .transaction(async |conn| {
                if !repo::is_member(conn, viewer.user_id, row.account_id).await? {
                    return Err(AppError::not_found("accountId", "account"));
                }
                let result =
                    serde_json::to_value(Created { conversation_id: row.id }).map_err(AppError::internal)?;
                // The key first: a twin waits here and then sees ours.
                let is_ours = idempotency::insert(conn, viewer.user_id, &intent, result).await?;
                if is_ours {
                    repo::insert_conversation(conn, &row).await?;
                }
                Ok::<_, AppError>(is_ours)
            })
            .await?;
        if is_ours {
            return Ok(row);
        }
        let stored = idempotency::find(&mut conn, viewer.user_id, &intent).await?;
        let first: Option<Created> = intent.replay(stored)?;
        let id = first.map(|first| first.conversation_id).unwrap_or_default();
        let found = repo::list_conversations(&mut conn, viewer.user_id, &[id]).await?;
        found.into_iter().next().ok_or_else(|| AppError::not_found("idempotencyKey", "conversation"))
    }

    /// Conversations of the viewer in an account, latest first: `limit` of them after the place given.
    pub async fn page(
        &self,
        viewer: Viewer,
        account_id: Uuid,
        after: Option<(DateTime<Utc>, Uuid)>,
        limit: i64,
    ) -> Result<Vec<ConversationRow>> {
        let mut conn = self.db.conn().await?;
        Ok(repo::page_conversations(&mut conn, viewer.user_id, account_id, after, limit).await?)
    }

    /// Renames or configures a conversation.
    pub async fn update(
        &self,
        viewer: Viewer,
        id: Uuid,
        mut changes: ConversationChanges,
    ) -> Result<ConversationRow> {
        self.tasks.require_running()?;
        if let Some(Some(title)) = &changes.title {
            changes.title = Some(Some(require_title(title)?));
        }
        if let Some(Some(prompt)) = changes.system_prompt {
            changes.system_prompt = Some(Some(require_system_prompt(prompt)?));
        }
        if let Some(Some(model)) = &changes.model_key {
            require_model(&self.catalog, model)?;
        }
        let db = self.db.clone();
        let work = async move {
            let mut conn = db.conn().await?;
            repo::update_conversation(&mut conn, viewer.user_id, id, &changes).await.map_err(AppError::from)
        };
        let row = self.tasks.run(work).await?;
        row.ok_or_else(|| AppError::not_found("conversationId", "conversation"))
    }

    /// Removes a conversation with its messages. An answer in progress notices within a quarter of a second that its
    /// message is gone, stops, and is charged for what was made.
    pub async fn delete(&self, viewer: Viewer, id: Uuid) -> Result<()> {
        self.tasks.require_running()?;
        let db = self.db.clone();
        let work = async move {
            let mut conn = db.conn().await?;
            repo::delete_conversation(&mut conn, viewer.user_id, id).await.map_err(AppError::from)
        };
        let is_deleted = self.tasks.run(work).await?;
        is_deleted.then_some(()).ok_or_else(|| AppError::not_found("id", "conversation"))
    }
}

/// A title of 1 to 200 characters without control characters, trimmed.
pub fn require_title(title: &str) -> Result<String> {
    let title = title.trim();
    if !(1..=200).contains(&title.chars().count()) || title.chars().any(char::is_control) {
        return Err(AppError::invalid("title", "A title has 1 to 200 characters on one line."));
    }
    Ok(title.to_owned())
}

fn require_system_prompt(prompt: String) -> Result<String> {
    if !(1..=100_000).contains(&prompt.chars().count()) || prompt.contains('\0') {
        return Err(AppError::invalid(
            "systemPrompt",
            "A system prompt has 1 to 100000 characters, and none of them is NUL.",
        ));
    }
    Ok(prompt)
}

/// The model must be in the catalogue, with a price.
pub fn require_model(catalog: &Catalog, key: &str) -> Result<std::sync::Arc<crate::domains::catalog::Model>> {
    catalog.find_model(key).ok_or_else(|| {
        let shown: String = key.chars().take(80).collect();
        let why = match catalog.unserved_provider(key) {
            Some(_) => format!("The model `{shown}` cannot be called at present."),
            None => format!("There is no model `{shown}`."),
        };
        AppError::invalid("model", why)
    })
}
