//! Batches of conversations and messages, in the name of one viewer.

use std::{collections::HashMap, sync::Arc};

use async_graphql::dataloader::Loader;
use uuid::Uuid;

use super::{
    model::{ConversationRow, MessageRow},
    repo::{self, BranchPage, ConversationPage},
};
use crate::{
    error::AppError,
    graphql::pagination::{PageKey, Pages, same_pages},
    platform::postgres::Db,
};

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

/// Pages of the viewer's conversations by account.
pub struct ConversationPageLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<PageKey<ConversationPage>> for ConversationPageLoader {
    type Value = Vec<Arc<ConversationRow>>;
    type Error = AppError;

    async fn load(&self, keys: &[PageKey<ConversationPage>]) -> Pages<ConversationPage, Self::Value> {
        let mut found: HashMap<_, Self::Value> = HashMap::new();
        let mut conn = self.db.conn().await?;
        for (page, accounts) in same_pages(keys) {
            for row in repo::list_conversation_pages(&mut conn, self.viewer, &accounts, &page).await? {
                let key = PageKey { owner: row.account_id, page: page.clone() };
                found.entry(key).or_default().push(Arc::new(row));
            }
        }
        Ok(found)
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

/// Pages of branches by conversation.
pub struct BranchLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<PageKey<BranchPage>> for BranchLoader {
    type Value = Vec<Arc<MessageRow>>;
    type Error = AppError;

    async fn load(&self, keys: &[PageKey<BranchPage>]) -> Pages<BranchPage, Self::Value> {
        let mut found: HashMap<_, Self::Value> = HashMap::new();
        let mut conn = self.db.conn().await?;
        for (page, conversations) in same_pages(keys) {
            for row in repo::list_branches(&mut conn, self.viewer, &conversations, &page).await? {
                let Some(owner) = row.conversation_id else { continue };
                found.entry(PageKey { owner, page }).or_default().push(Arc::new(row));
            }
        }
        Ok(found)
    }
}
