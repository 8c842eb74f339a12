//! Whether accounts have changed.

use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::platform::postgres::statement::statement;

/// How far an account has come.
#[derive(Debug, Clone, QueryableByName)]
pub struct RevisionRow {
    #[diesel(sql_type = sql_types::Uuid)]
    pub account_id: Uuid,
    /// Grows with every change of its wallets, its counters or its subscription.
    #[diesel(sql_type = sql_types::BigInt)]
    pub revision: i64,
    /// Its period, or something granted, is over and nobody has booked that yet.
    #[diesel(sql_type = sql_types::Bool)]
    pub is_due: bool,
}

/// Those of the accounts that there are.
pub async fn list_revisions_unscoped(
    conn: &mut AsyncPgConnection,
    accounts: &[Uuid],
) -> QueryResult<Vec<RevisionRow>> {
    const SQL: &str = "\
        SELECT s.account_id, \
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
