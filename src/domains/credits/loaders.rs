//! Batches of balances, grants and ledger entries, in the name of one viewer.

use std::collections::HashMap;

use async_graphql::dataloader::Loader;
use uuid::Uuid;

use super::{
    AccountCounts, list_counts,
    model::{CreditAdjustmentRow, GrantRow, LedgerEntryRow, Standing},
    repo::{
        self,
        entries::{EntryOfAccount, EntryPage},
        grants::Wanted,
    },
};
use crate::{
    error::AppError,
    graphql::pagination::{PageKey, Pages, same_pages},
    platform::postgres::Db,
};

/// Balances by account, of those whose money the viewer sees, as they are booked.
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

/// Ledger entries by id, of accounts whose money the viewer sees.
pub struct LedgerEntryLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<Uuid> for LedgerEntryLoader {
    type Value = LedgerEntryRow;
    type Error = AppError;

    async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Self::Error> {
        let mut conn = self.db.conn().await?;
        let rows = repo::entries::list_entries(&mut conn, self.viewer, ids).await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }
}

/// Pages of the ledgers of accounts whose money the viewer sees, by account.
pub struct EntryPageLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<PageKey<EntryPage>> for EntryPageLoader {
    type Value = Vec<LedgerEntryRow>;
    type Error = AppError;

    async fn load(&self, keys: &[PageKey<EntryPage>]) -> Pages<EntryPage, Self::Value> {
        let mut found: HashMap<_, Self::Value> = HashMap::new();
        let mut conn = self.db.conn().await?;
        for (page, accounts) in same_pages(keys) {
            let rows = repo::entries::list_entry_pages(&mut conn, self.viewer, &accounts, &page).await?;
            for EntryOfAccount { account_id, entry } in rows {
                found.entry(PageKey { owner: account_id, page: page.clone() }).or_default().push(entry);
            }
        }
        Ok(found)
    }
}

/// Adjustments by id, of accounts whose money the viewer sees.
pub struct AdjustmentLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<Uuid> for AdjustmentLoader {
    type Value = CreditAdjustmentRow;
    type Error = AppError;

    async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Self::Error> {
        let mut conn = self.db.conn().await?;
        let rows = repo::adjustments::list(&mut conn, self.viewer, ids).await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }
}

/// Grants of credits by id, of accounts whose money the viewer sees.
pub struct GrantLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<Uuid> for GrantLoader {
    type Value = GrantRow;
    type Error = AppError;

    async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Self::Error> {
        let mut conn = self.db.conn().await?;
        let rows = repo::grants::list_grants(&mut conn, self.viewer, Wanted::Ids(ids)).await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }
}

/// Grants with credits left by account, of those whose money the viewer sees, in the order in which they are spent.
pub struct LeftGrantsLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<Uuid> for LeftGrantsLoader {
    type Value = Vec<GrantRow>;
    type Error = AppError;

    async fn load(&self, accounts: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Self::Error> {
        let mut conn = self.db.conn().await?;
        let rows = repo::grants::list_grants(&mut conn, self.viewer, Wanted::LeftIn(accounts)).await?;
        let mut found: HashMap<Uuid, Vec<GrantRow>> = HashMap::new();
        for row in rows {
            found.entry(row.account_id).or_default().push(row);
        }
        Ok(found)
    }
}

/// What limits have counted by account, of those the viewer belongs to.
pub struct CountsLoader {
    pub db: Db,
    pub viewer: Uuid,
}

impl Loader<Uuid> for CountsLoader {
    type Value = AccountCounts;
    type Error = AppError;

    async fn load(&self, accounts: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, Self::Error> {
        list_counts(&mut *self.db.conn().await?, self.viewer, accounts).await
    }
}
