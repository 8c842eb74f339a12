//! Whether accounts have changed.

use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::platform::postgres::{revisions::Revision, statement::statement};

/// Those of the accounts that there are. A revision grows with every change of the wallets, the counters or the
/// subscription; what is due is a period or something granted that is over, which nobody has booked yet.
pub async fn list_revisions_unscoped(
    conn: &mut AsyncPgConnection,
    accounts: &[Uuid],
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
    statement(SQL).bind::<sql_types::Array<sql_types::Uuid>, _>(accounts).load(conn).await
}
