//! Batches of runs and of texts in progress.

use std::{collections::HashMap, sync::Arc};

use async_graphql::dataloader::Loader;
use uuid::Uuid;

use super::{
    model::{Content, Delta, GenerationRow},
    repo,
};
use crate::{error::AppError, platform::postgres::Db};

/// The viewer's runs by id.
pub struct GenerationLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<Uuid> for GenerationLoader {
    type Value = Arc<GenerationRow>;
    type Error = AppError;

    async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Self::Error> {
        let mut conn = self.db.conn().await?;
        let rows = repo::list_generations(&mut conn, self.viewer, ids).await?;
        Ok(rows.into_iter().map(|row| (row.id, Arc::new(row))).collect())
    }
}

/// The viewer's runs by the message they write.
pub struct GenerationOfMessageLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<Uuid> for GenerationOfMessageLoader {
    type Value = Arc<GenerationRow>;
    type Error = AppError;

    async fn load(&self, messages: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Self::Error> {
        let mut conn = self.db.conn().await?;
        let rows = repo::list_generations_of_messages(&mut conn, self.viewer, messages).await?;
        Ok(rows.into_iter().filter_map(|row| Some((row.message_id?, Arc::new(row)))).collect())
    }
}

/// Texts in progress by message. It has no viewer: whoever asks holds the message, which was read for the viewer.
pub struct RunningContentLoader {
    pub db: Db,
}

impl Loader<Uuid> for RunningContentLoader {
    type Value = Content;
    type Error = AppError;

    async fn load(&self, messages: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Self::Error> {
        let mut conn = self.db.conn().await?;
        let mut events: HashMap<Uuid, Vec<Delta>> = messages.iter().map(|id| (*id, Vec::new())).collect();
        for (message_id, event) in repo::list_events_unscoped(&mut conn, messages).await? {
            events.entry(message_id).or_default().push(event);
        }
        Ok(events.into_iter().map(|(id, events)| (id, Content::of_events(&events))).collect())
    }
}
