//! Queries of the ledger. Balances move only in the database functions `ledger_grant`, `ledger_hold` and
//! `ledger_settle`; the last two are called by the statements that begin and end the work they pay for.

pub mod adjustments;
pub mod balances;
pub mod counted;
pub mod entries;
pub mod grants;
pub mod quotas;
pub mod revisions;

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{platform::postgres::statement::statement, schema::ledger_checks};

/// A contradiction in the books.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Difference {
    /// Which rule is broken, such as `grant_differs_from_entries`.
    #[diesel(sql_type = sql_types::Text)]
    pub problem: String,
    /// Id of the row that breaks it.
    #[diesel(sql_type = sql_types::Uuid)]
    pub subject: Uuid,
}

/// Lets the statements of this transaction read all books there are, however long that takes within reason.
pub async fn be_patient(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    statement("SET LOCAL statement_timeout = '10min'").execute(conn).await.map(drop)
}

/// Notes what a check has found, and forgets checks of more than 400 days ago.
pub async fn insert_check(conn: &mut AsyncPgConnection, differences: i64) -> QueryResult<()> {
    const FORGET: &str = "DELETE FROM ledger_checks WHERE checked_at < loquent_now() - interval '400 days'";
    statement(FORGET).execute(conn).await?;
    diesel::insert_into(ledger_checks::table)
        .values(ledger_checks::differences.eq(differences))
        .on_conflict_do_nothing()
        .execute(conn)
        .await
        .map(drop)
}

/// When the books were checked last, and how many differences there were.
pub async fn find_last_check(conn: &mut AsyncPgConnection) -> QueryResult<Option<(DateTime<Utc>, i64)>> {
    ledger_checks::table
        .order(ledger_checks::checked_at.desc())
        .select((ledger_checks::checked_at, ledger_checks::differences))
        .first(conn)
        .await
        .optional()
}

/// Everything the checker finds; empty when the books are right.
pub async fn list_differences_unscoped(conn: &mut AsyncPgConnection) -> QueryResult<Vec<Difference>> {
    statement("SELECT problem, subject FROM ledger_differences ORDER BY 1, 2").load(conn).await
}

/// Numbers of what the checker looked at, so that an empty result says how much it means.
#[derive(Debug, Clone, Copy, QueryableByName)]
pub struct Checked {
    #[diesel(sql_type = sql_types::BigInt)]
    pub wallets: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    pub entries: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    pub holds: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    pub open_holds: i64,
}

pub async fn count_checked_unscoped(conn: &mut AsyncPgConnection) -> QueryResult<Checked> {
    const SQL: &str = "SELECT (SELECT count(*) FROM wallets) AS wallets, (SELECT count(*) FROM ledger_entries) AS entries, \
                              (SELECT count(*) FROM holds) AS holds, \
                              (SELECT count(*) FROM holds WHERE state = 'open') AS open_holds";
    statement(SQL).get_result(conn).await
}
