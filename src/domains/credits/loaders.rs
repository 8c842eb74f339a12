//! Batches of balances and ledger entries, in the name of one viewer.

use std::collections::HashMap;

use async_graphql::dataloader::Loader;
use uuid::Uuid;

use super::{
    model::{LedgerEntryRow, Standing},
    repo,
};
use crate::{error::AppError, platform::postgres::Db};

/// Balances by account, of those the viewer belongs to, as they are booked.
pub struct BalanceLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<Uuid> for BalanceLoader {
    type Value = Standing;
    type Error = AppError;

    async fn load(&self, accounts: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Self::Error> {
        let mut conn = self.db.conn().await?;
        Ok(repo::balances::list_balances(&mut conn, self.viewer, accounts).await?.into_iter().collect())
    }
}

/// Ledger entries by id, of accounts the viewer belongs to.
pub struct LedgerEntryLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<Uuid> for LedgerEntryLoader {
    type Value = LedgerEntryRow;
    type Error = AppError;

    async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Self::Error> {
        let mut conn = self.db.conn().await?;
        let rows = repo::list_entries(&mut conn, self.viewer, ids).await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }
}
