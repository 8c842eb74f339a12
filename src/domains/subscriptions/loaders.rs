//! Batches of subscriptions, in the name of one viewer.

use std::collections::HashMap;

use async_graphql::dataloader::Loader;
use uuid::Uuid;

use super::{model::SubscriptionRow, repo};
use crate::{error::AppError, platform::postgres::Db};

/// Subscriptions by account, of those the viewer belongs to. What is due in them is not done yet.
pub struct SubscriptionLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<Uuid> for SubscriptionLoader {
    type Value = SubscriptionRow;
    type Error = AppError;

    async fn load(&self, accounts: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Self::Error> {
        let mut conn = self.db.conn().await?;
        let rows = repo::list(&mut conn, self.viewer, accounts).await?;
        Ok(rows.into_iter().map(|row| (row.account_id, row)).collect())
    }
}
