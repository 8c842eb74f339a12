//! Accounts as things that are watched. Other processes are not told of what happens to one: whoever watches a balance
//! sees it within a second, and every turn would be a hint.

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use uuid::Uuid;

use super::repo::revisions as repo;
use crate::platform::postgres::{
    listen::Channel,
    revisions::{Revision, RevisionWatch, Watched},
};

/// Accounts with their wallets, counters and subscription.
pub struct WatchedAccounts;

impl Watched for WatchedAccounts {
    const NAME: &'static str = "accounts";
    const CHANNEL: Option<Channel> = None;

    async fn list_revisions_unscoped(
        conn: &mut AsyncPgConnection,
        ids: &[Uuid],
    ) -> QueryResult<Vec<Revision>> {
        repo::list_revisions_unscoped(conn, ids).await
    }
}

/// The accounts that are watched in this process.
pub type AccountWatch = RevisionWatch<WatchedAccounts>;
