//! Batches of balances, in the name of one viewer.

use std::collections::HashMap;

use async_graphql::dataloader::Loader;
use uuid::Uuid;

use super::{model::Balance, repo};
use crate::{error::AppError, platform::postgres::Db};

/// Balances by account, of those the viewer belongs to; an account that never had credits has the empty balance.
pub struct BalanceLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<Uuid> for BalanceLoader {
    type Value = Balance;
    type Error = AppError;

    async fn load(&self, accounts: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Self::Error> {
        let mut conn = self.db.conn().await?;
        Ok(repo::list_balances(&mut conn, self.viewer, accounts).await?.into_iter().collect())
    }
}
