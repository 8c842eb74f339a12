//! Batches of conversations and messages, in the name of one viewer.

use std::{collections::HashMap, sync::Arc};

use async_graphql::dataloader::Loader;
use uuid::Uuid;

use super::{
    model::{ConversationRow, MessageRow},
    repo::{self, BranchPage},
};
use crate::{error::AppError, platform::postgres::Db};

/// The viewer's conversations by id.
pub struct ConversationLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<Uuid> for ConversationLoader {
    type Value = Arc<ConversationRow>;
    type Error = AppError;

    async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Self::Error> {
        let mut conn = self.db.conn().await?;
        let rows = repo::list_conversations(&mut conn, self.viewer, ids).await?;
        Ok(rows.into_iter().map(|row| (row.id, Arc::new(row))).collect())
    }
}

/// Messages by id that the viewer may read.
pub struct MessageLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<Uuid> for MessageLoader {
    type Value = Arc<MessageRow>;
    type Error = AppError;

    async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Self::Error> {
        let mut conn = self.db.conn().await?;
        let rows = repo::list_messages(&mut conn, self.viewer, ids).await?;
        Ok(rows.into_iter().map(|row| (row.id, Arc::new(row))).collect())
    }
}

/// The alternatives of messages, themselves included, by message.
pub struct SiblingLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<Uuid> for SiblingLoader {
    type Value = Vec<Arc<MessageRow>>;
    type Error = AppError;

    async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Self::Error> {
        let mut conn = self.db.conn().await?;
        let mut found: HashMap<Uuid, Self::Value> = HashMap::new();
        for row in repo::list_siblings(&mut conn, self.viewer, ids).await? {
            found.entry(row.of).or_default().push(Arc::new(row.message));
        }
        Ok(found)
    }
}

/// A page of one branch of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BranchKey {
    pub conversation_id: Uuid,
    /// Last message of the branch; `None` for the one shown.
    pub head_id: Option<Uuid>,
    pub page: BranchPage,
}

/// Pages of branches; equal pages of several branches are one statement.
pub struct BranchLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<BranchKey> for BranchLoader {
    type Value = Vec<Arc<MessageRow>>;
    type Error = AppError;

    async fn load(&self, keys: &[BranchKey]) -> Result<HashMap<BranchKey, Self::Value>, Self::Error> {
        let mut found: HashMap<BranchKey, Self::Value> =
            keys.iter().map(|key| (key.clone(), Vec::new())).collect();
        let mut by_page: HashMap<BranchPage, Vec<(Uuid, Option<Uuid>)>> = HashMap::new();
        for key in keys {
            by_page.entry(key.page).or_default().push((key.conversation_id, key.head_id));
        }
        let mut conn = self.db.conn().await?;
        for (page, branches) in by_page {
            for row in repo::list_branches(&mut conn, self.viewer, &branches, page).await? {
                let branch = usize::try_from(row.place - 1).ok().and_then(|place| branches.get(place));
                let Some(&(conversation_id, head_id)) = branch else { continue };
                let key = BranchKey { conversation_id, head_id, page };
                found.entry(key).or_default().push(Arc::new(row.message));
            }
        }
        Ok(found)
    }
}
