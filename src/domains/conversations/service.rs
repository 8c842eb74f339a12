//! Creating, changing and removing conversations. An empty one counts in the limits on conversations when it is made; one
//! that begins with a message is counted with the message.

use diesel_async::AsyncConnection;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    model::{ConversationRow, TitleState},
    options::AnswerOptions,
    repo,
    rules::{require_model, require_system_prompt, require_tags, require_title},
    watch::ConversationWatch,
};
use crate::{
    domains::{
        accounts::Viewer,
        catalog::{Catalog, Meter, Model},
        credits::{AccountWatch, NewConversationCount, NotCounted, Quota, count_conversation_in_tx},
        subscriptions::{Payer, Subscriptions},
    },
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

mod branches;

pub use repo::ConversationChanges;

/// A conversation whose windows ended while it waited to be counted is counted anew so often.
const MAX_COUNTS: usize = 8;

/// What a new conversation is made of; absent values have defaults.
#[derive(Debug, Serialize)]
pub struct NewConversation {
    pub account_id: Option<Uuid>,
    pub title: Option<String>,
    pub system_prompt: Option<String>,
    pub model: Option<String>,
    pub options: AnswerOptions,
    pub tags: Vec<String>,
}

/// What conversations are made of.
pub struct Parts {
    pub db: Db,
    pub clock: Clock,
    pub tasks: Tasks,
    pub catalog: Catalog,
    pub subscriptions: Subscriptions,
    pub account_watch: AccountWatch,
    pub watch: ConversationWatch,
}

/// The use cases; clones share everything.
#[derive(Clone)]
pub struct Conversations {
    pub(super) db: Db,
    clock: Clock,
    tasks: Tasks,
    catalog: Catalog,
    subscriptions: Subscriptions,
    account_watch: AccountWatch,
    pub(super) watch: ConversationWatch,
}

/// A conversation that was made, now or under the same key before.
pub struct Begun {
    pub conversation: ConversationRow,
    /// The limits on conversations that it counts in.
    pub quotas: Vec<Quota>,
}

#[derive(Serialize, Deserialize)]
struct Created {
    conversation_id: Uuid,
}

impl Conversations {
    pub fn new(parts: Parts) -> Self {
        let Parts { db, clock, tasks, catalog, subscriptions, account_watch, watch } = parts;
        Self { db, clock, tasks, catalog, subscriptions, account_watch, watch }
    }

    /// Creates an empty conversation and counts it, once for an idempotency key.
    pub async fn create(&self, viewer: Viewer, new: NewConversation, key: String) -> Result<Begun> {
        self.tasks.require_running()?;
        let intent = Intent::try_new("create_conversation", key, &new)?;
        let title = new.title.as_deref().map(require_title).transpose()?;
        let system_prompt = new.system_prompt.map(require_system_prompt).transpose()?;
        let model = new.model.as_deref().map(|key| require_model(&self.catalog, key)).transpose()?;
        new.options.validate()?;
        let tags = require_tags(new.tags)?;
        let title_state = TitleState::of(title.as_deref()).as_str().to_owned();
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
            event_sequence: 0,
            created_at: now,
            updated_at: now,
            options: serde_json::json!(new.options),
            is_starred: false,
            archived_at: None,
            tags: tags.into_iter().map(Some).collect(),
            title_state,
        };
        let this = self.clone();
        self.tasks.run(async move { this.insert_once(viewer, row, model.as_deref(), intent).await }).await
    }

    async fn insert_once(
        &self,
        viewer: Viewer,
        row: ConversationRow,
        model: Option<&Model>,
        intent: Intent,
    ) -> Result<Begun> {
        for _ in 0..MAX_COUNTS {
            match self.try_insert(viewer, &row, model, &intent).await {
                Ok(Some(quotas)) => {
                    self.account_watch.hint(row.account_id);
                    return Ok(Begun { conversation: row, quotas });
                }
                Ok(None) => return self.read_begun(viewer, &intent).await,
                Err(NotCounted::MovedOn) => {}
                Err(NotCounted::Failed(error)) => return Err(error),
            }
        }
        Err(AppError::unavailable(anyhow::anyhow!(
            "the windows of the account end faster than they are counted in"
        )))
    }

    /// The limits that it counts in; `None` when its key is taken.
    async fn try_insert(
        &self,
        viewer: Viewer,
        row: &ConversationRow,
        model: Option<&Model>,
        intent: &Intent,
    ) -> Result<Option<Vec<Quota>>, NotCounted> {
        let payer = self.subscriptions.payer(viewer.user_id, row.account_id).await?;
        model.map_or(Ok(()), |model| payer.plan.require(model))?;
        let whose = (row.id, row.account_id, viewer.user_id);
        let Payer { plan, anchors, now, until } = &payer;
        let count = NewConversationCount::new(whose, plan, anchors, *now, *until);
        let result = serde_json::to_value(Created { conversation_id: row.id }).map_err(AppError::internal)?;
        let mut conn = self.db.conn().await?;
        conn.transaction(async |conn| {
            // The key first: a twin waits here and then sees ours.
            if !idempotency::insert(conn, viewer.user_id, intent, result).await? {
                return Ok(None);
            }
            repo::insert_conversation(conn, row).await?;
            count_conversation_in_tx(conn, &count).await.map(Some)
        })
        .await
    }

    /// A conversation that was made before, as it stands now.
    async fn read_begun(&self, viewer: Viewer, intent: &Intent) -> Result<Begun> {
        let mut conn = self.db.conn().await?;
        let stored = idempotency::find(&mut conn, viewer.user_id, intent).await?;
        let first: Option<Created> = intent.replay(stored)?;
        let id = first.map(|first| first.conversation_id).unwrap_or_default();
        let found = repo::find_conversation(&mut conn, viewer.user_id, id).await?;
        drop(conn);
        let conversation = found.ok_or_else(|| AppError::not_found("idempotencyKey", "conversation"))?;
        let quotas = self.subscriptions.quotas(viewer.user_id, conversation.account_id).await?;
        let mut quotas = quotas.unwrap_or_default();
        quotas.retain(|quota| quota.meter == Meter::Conversations);
        Ok(Begun { conversation, quotas })
    }

    /// Renames, stars, archives, labels or configures a conversation.
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
        if let Some(options) = &changes.options {
            options.validate()?;
        }
        changes.tags = changes.tags.map(require_tags).transpose()?;
        let model = changes.model_key.as_ref().and_then(Option::as_deref);
        let model = model.map(|key| require_model(&self.catalog, key)).transpose()?;
        let this = self.clone();
        let work = async move {
            if let Some(model) = model {
                this.require_included(viewer, id, &model).await?;
            }
            let mut conn = this.db.conn().await?;
            let row = conn
                .transaction(async |conn| {
                    repo::update_conversation_in_tx(conn, viewer.user_id, id, &changes).await
                })
                .await?;
            this.hint(row.as_ref().map(|row| row.id));
            Ok::<_, AppError>(row)
        };
        let row = self.tasks.run(work).await?;
        row.ok_or_else(|| AppError::not_found("conversationId", "conversation"))
    }

    /// The plan of the account must include the model. A conversation that is not the viewer's is left to whoever changes it.
    async fn require_included(&self, viewer: Viewer, id: Uuid, model: &Model) -> Result<()> {
        let found = repo::find_conversation(&mut *self.db.conn().await?, viewer.user_id, id).await?;
        let Some(row) = found else { return Ok(()) };
        self.subscriptions.payer(viewer.user_id, row.account_id).await?.plan.require(model)
    }

    /// Removes a conversation with its messages. An answer in progress notices within a quarter of a second that its
    /// message is gone, stops, and is charged for what was made.
    pub async fn delete(&self, viewer: Viewer, id: Uuid) -> Result<()> {
        self.tasks.require_running()?;
        let this = self.clone();
        let work = async move {
            let mut conn = this.db.conn().await?;
            let is_deleted = repo::delete_conversation(&mut conn, viewer.user_id, id).await?;
            this.hint(is_deleted.then_some(id));
            Ok::<_, AppError>(is_deleted)
        };
        let is_deleted = self.tasks.run(work).await?;
        is_deleted.then_some(()).ok_or_else(|| AppError::not_found("id", "conversation"))
    }
}
