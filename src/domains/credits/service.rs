//! Reading and checking credits.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use uuid::Uuid;

use super::{
    model::{GrantRow, LedgerEntryRow, Standing},
    quota::{Count, read_counts},
    repo::{
        self, Checked,
        entries::{self, EntryPage},
        grants::Wanted,
    },
};
use crate::{error::Result, platform::postgres::Db};

pub use repo::Difference;

/// Compares the books with each other and with the work they paid for. It may take minutes, and may be cut.
pub async fn check(db: &Db) -> Result<(Checked, Vec<Difference>)> {
    db.transaction(|conn| {
        async move {
            repo::be_patient(conn).await?;
            let counts = repo::count_checked_unscoped(conn).await?;
            Ok((counts, repo::list_differences_unscoped(conn).await?))
        }
        .boxed()
    })
    .await
}

/// Notes what a check has found.
pub async fn note_check(conn: &mut AsyncPgConnection, differences: usize) -> Result<()> {
    Ok(repo::insert_check(conn, i64::try_from(differences).unwrap_or(i64::MAX)).await?)
}

/// When the books were checked last, and how many differences there were.
pub async fn last_check(conn: &mut AsyncPgConnection) -> Result<Option<(DateTime<Utc>, i64)>> {
    Ok(repo::find_last_check(conn).await?)
}

/// What an account has as it is booked; `None` when its money is not the viewer's to see.
pub async fn find_standing(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    account_id: Uuid,
) -> Result<Option<Standing>> {
    let found = repo::balances::list_balances(conn, viewer, &[account_id]).await?;
    Ok(found.into_iter().next().map(|(_, standing)| standing))
}

/// Grants with credits left in an account, in the order in which they are spent; none when they are not the viewer's to see.
pub async fn list_left_grants(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    account_id: Uuid,
) -> Result<Vec<GrantRow>> {
    Ok(repo::grants::list_grants(conn, viewer, Wanted::LeftIn(&[account_id])).await?)
}

/// The newest movements of credits in an account; none when they are not the viewer's to see.
pub async fn list_last_entries(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    account_id: Uuid,
    limit: i64,
) -> Result<Vec<LedgerEntryRow>> {
    let page = EntryPage { limit, before_revision: None, kinds: Vec::new() };
    let found = entries::list_entry_pages(conn, viewer, &[account_id], &page).await?;
    Ok(found.into_iter().map(|row| row.entry).collect())
}

/// What has been counted in an account.
#[derive(Debug, Clone)]
pub struct AccountCounts {
    pub account_created_at: DateTime<Utc>,
    pub counts: Vec<Count>,
    /// When the database looked.
    pub now: DateTime<Utc>,
}

/// What all members together and the viewer alone have used, by account, in those of the accounts that are the viewer's.
pub async fn list_counts(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    accounts: &[Uuid],
) -> Result<HashMap<Uuid, AccountCounts>> {
    let rows = repo::quotas::list_counts(conn, viewer, accounts).await?.into_iter();
    let counts = |row: repo::quotas::CountsRow| {
        let repo::quotas::CountsRow { account_id, account_created_at, now, counts } = row;
        Ok((account_id, AccountCounts { account_created_at, counts: read_counts(counts)?, now }))
    };
    rows.map(counts).collect()
}
