//! Reading what limits have counted.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::platform::postgres::statement::statement;

/// The counts of one account, in the form in which `ledger_hold` returns them.
#[derive(Debug, QueryableByName)]
pub struct CountsRow {
    #[diesel(sql_type = sql_types::Uuid)]
    pub account_id: Uuid,
    #[diesel(sql_type = sql_types::Timestamptz)]
    pub account_created_at: DateTime<Utc>,
    #[diesel(sql_type = sql_types::Timestamptz)]
    pub now: DateTime<Utc>,
    #[diesel(sql_type = sql_types::Jsonb)]
    pub counts: serde_json::Value,
}

/// What all members together and the viewer alone have used in those of the accounts that are the viewer's.
pub async fn list_counts(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    accounts: &[Uuid],
) -> QueryResult<Vec<CountsRow>> {
    const SQL: &str = "\
        SELECT a.id AS account_id, a.created_at AS account_created_at, loquent_now() AS now, \
               coalesce((SELECT jsonb_agg(quota_json(s)) FROM quota_states s \
                          WHERE s.account_id = a.id AND (s.user_id IS NULL OR s.user_id = m.user_id)), '[]') AS counts \
          FROM accounts a JOIN members m ON m.account_id = a.id AND m.user_id = ? WHERE a.id = ANY(?)";
    statement(SQL)
        .bind::<sql_types::Uuid, _>(viewer)
        .bind::<sql_types::Array<sql_types::Uuid>, _>(accounts)
        .load(conn)
        .await
}
