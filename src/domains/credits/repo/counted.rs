//! Counting what is done with as soon as it is made.

use std::sync::Arc;

use diesel::{prelude::*, result::Error as DieselError, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use crate::{
    domains::credits::{counted::NewConversationCount, demand::Demand, refusal::Refusal},
    platform::postgres::{moved_on, only, statement::statement},
};

/// The refusal that `ledger_hold` raised of a demand, if it is one. The SQLSTATE of a raised exception is not part of
/// Diesel's error, so it is known by its message.
pub fn refusal_of(error: &DieselError, demand: &Arc<Demand>) -> Option<Box<Refusal>> {
    let DieselError::DatabaseError(_, info) = error else { return None };
    if !info.message().starts_with("insufficient ") {
        return None;
    }
    let mut refusal: Box<Refusal> = serde_json::from_str(info.details()?).ok()?;
    refusal.demand = Some(Arc::clone(demand));
    Some(refusal)
}

/// What became of it.
pub enum Counted {
    /// What its limits have counted then.
    Counts(Value),
    /// The time of its lines is over.
    MovedOn,
    Refused(Box<Refusal>),
}

/// Opens and settles the hold of a conversation.
pub async fn count_conversation(
    conn: &mut AsyncPgConnection,
    count: &NewConversationCount,
) -> QueryResult<Counted> {
    // The settlement takes its id from the hold, and so comes after it.
    const SQL: &str = "\
        WITH p AS (SELECT ?::uuid AS id, ?::uuid AS account_id, ?::uuid AS user_id, ?::jsonb AS lines, ?::timestamptz AS until, \
                          'New conversation' AS description) \
        SELECT s.quotas AS counts \
          FROM p, LATERAL ledger_hold(p.id, p.account_id, 'conversation', 0, 0, p.lines, p.user_id, p.description, p.until) h, \
               LATERAL ledger_settle(CASE WHEN h.units = 0 THEN p.id END, 'settled', '{}', p.user_id, p.description) s";
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = sql_types::Jsonb)]
        counts: Value,
    }
    let counted = statement(SQL)
        .bind::<sql_types::Uuid, _>(count.id)
        .bind::<sql_types::Uuid, _>(count.account_id)
        .bind::<sql_types::Uuid, _>(count.user_id)
        .bind::<sql_types::Jsonb, _>(count.lines())
        .bind::<sql_types::Timestamptz, _>(count.until())
        .load(conn)
        .await
        .and_then(only);
    match counted {
        Ok(Row { counts }) => Ok(Counted::Counts(counts)),
        Err(error) if moved_on(&error).is_some() => Ok(Counted::MovedOn),
        Err(error) => refusal_of(&error, count.demand()).map(Counted::Refused).ok_or(error),
    }
}
