//! Queries of what administrators gave and took.

use chrono::{DateTime, Utc};
use diesel::{
    pg::Pg,
    prelude::*,
    result::{DatabaseErrorKind, Error},
    sql_types,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    domains::{accounts::seen_by, credits::model::CreditAdjustmentRow},
    platform::postgres::{only, statement::statement},
    schema::credit_adjustments,
};

/// An adjustment as it is stored.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = credit_adjustments, check_for_backend(Pg))]
pub struct AdjustmentRow {
    pub id: Uuid,
    pub account_id: Uuid,
    pub amount: i64,
    pub booked: i64,
    pub expires_at: Option<DateTime<Utc>>,
    pub reason: String,
    pub status: String,
    pub requested_by: Option<Uuid>,
    pub key: String,
}

impl AdjustmentRow {
    /// True when the other one asks for the same; the database keeps microseconds.
    pub fn is_same_wish(&self, other: &Self) -> bool {
        let micros = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_micros());
        (self.account_id, self.amount, micros(self.expires_at), &self.reason)
            == (other.account_id, other.amount, micros(other.expires_at), &other.reason)
    }
}

/// What an insert came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    New,
    /// There is one under this key.
    Repeat,
    /// Nothing else can be done in this transaction.
    NoAccount,
}

pub async fn insert(conn: &mut AsyncPgConnection, row: &AdjustmentRow) -> QueryResult<Inserted> {
    let inserted = diesel::insert_into(credit_adjustments::table)
        .values(row)
        .on_conflict((credit_adjustments::requested_by, credit_adjustments::key))
        .do_nothing()
        .execute(conn)
        .await;
    match inserted {
        Ok(0) => Ok(Inserted::Repeat),
        Ok(_) => Ok(Inserted::New),
        Err(Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => Ok(Inserted::NoAccount),
        Err(error) => Err(error),
    }
}

pub async fn find_unscoped(
    conn: &mut AsyncPgConnection,
    requested_by: Option<Uuid>,
    key: &str,
) -> QueryResult<AdjustmentRow> {
    credit_adjustments::table
        .filter(credit_adjustments::requested_by.is_not_distinct_from(requested_by))
        .filter(credit_adjustments::key.eq(key))
        .select(AdjustmentRow::as_select())
        .first(conn)
        .await
}

/// Those of the adjustments that are of accounts whose money the viewer sees.
pub async fn list(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    ids: &[Uuid],
) -> QueryResult<Vec<CreditAdjustmentRow>> {
    credit_adjustments::table
        .filter(credit_adjustments::id.eq_any(ids))
        .filter(credit_adjustments::account_id.eq_any(seen_by(viewer)))
        .select(CreditAdjustmentRow::as_select())
        .load(conn)
        .await
}

/// Books an adjustment and notes what came of it, which is returned.
pub async fn book(conn: &mut AsyncPgConnection, row: &AdjustmentRow) -> QueryResult<i64> {
    const SQL: &str = "\
        UPDATE credit_adjustments SET booked = \
          coalesce(ledger_adjust(id, account_id, 'credits', amount, coalesce(expires_at, 'infinity'), requested_by, reason), 0) \
         WHERE id = ? RETURNING booked";
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = sql_types::BigInt)]
        booked: i64,
    }
    let row: Row = statement(SQL).bind::<sql_types::Uuid, _>(row.id).load(conn).await.and_then(only)?;
    Ok(row.booked)
}
