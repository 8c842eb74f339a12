//! Whether accounts have changed.

use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::platform::postgres::{
    listen::Channel,
    revisions::{Revision, Watched},
    statement::statement,
};

/// Accounts with their wallets, counters and subscription. A revision grows with every change of these; what is due is a
/// period or something granted that is over, which nobody has booked yet. Other processes are not told of a change: whoever
/// watches a balance sees it within a second, and every turn would be a hint.
pub struct WatchedAccounts;

impl Watched for WatchedAccounts {
    const NAME: &'static str = "accounts";
    const CHANNEL: Option<Channel> = None;

    async fn list_revisions_unscoped(
        conn: &mut AsyncPgConnection,
        ids: &[Uuid],
    ) -> QueryResult<Vec<Revision>> {
        const SQL: &str = "\
            SELECT s.account_id AS id, \
                   (s.revision \
                    + (SELECT coalesce(sum(w.revision), 0) FROM wallets w WHERE w.account_id = s.account_id) \
                    + (SELECT coalesce(sum(q.revision), 0) FROM quota_counters q WHERE q.account_id = s.account_id))::bigint AS revision, \
                   s.due_at <= n.now OR EXISTS ( \
                     SELECT FROM wallets w JOIN grants g ON g.wallet_id = w.id \
                      WHERE w.account_id = s.account_id AND g.available > 0 AND g.expires_at <= n.now) AS is_due \
              FROM (SELECT loquent_now() AS now) n, subscriptions s \
             WHERE s.ended_at IS NULL AND s.account_id = ANY(?)";
        statement(SQL).bind::<sql_types::Array<sql_types::Uuid>, _>(ids).load(conn).await
    }
}
