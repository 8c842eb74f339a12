//! Reading and checking credits.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use uuid::Uuid;

use super::{
    model::Standing,
    quota::{Count, read_counts},
    repo::{self, Checked},
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

/// What has been counted in an account.
#[derive(Debug, Clone)]
pub struct AccountCounts {
    pub account_created_at: DateTime<Utc>,
    pub counts: Vec<Count>,
}

/// What all members together and the viewer alone have used, by account, in those of the accounts that are the viewer's.
pub async fn list_counts(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    accounts: &[Uuid],
) -> Result<HashMap<Uuid, AccountCounts>> {
    let rows = repo::quotas::list_counts(conn, viewer, accounts).await?.into_iter();
    let counts = |row: repo::quotas::CountsRow| {
        let account_created_at = row.account_created_at;
        Ok((row.account_id, AccountCounts { account_created_at, counts: read_counts(row.counts)? }))
    };
    rows.map(counts).collect()
}
