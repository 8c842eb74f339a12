//! Queries of subscriptions.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::model::{NewChangeRow, SubscriptionRow};
use crate::{
    domains::accounts::seen_by,
    platform::postgres::now,
    schema::{accounts, members, subscription_changes, subscriptions},
};

/// Subscriptions of those of the accounts whose money the viewer sees.
pub async fn list(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    accounts: &[Uuid],
) -> QueryResult<Vec<SubscriptionRow>> {
    subscriptions::table
        .filter(subscriptions::account_id.eq_any(accounts))
        .filter(subscriptions::account_id.eq_any(seen_by(viewer)))
        .filter(subscriptions::ended_at.is_null())
        .select(SubscriptionRow::as_select())
        .load(conn)
        .await
}

/// When an account was made that the viewer may spend from, what it has, and the time.
pub async fn find_payer(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    account_id: Uuid,
) -> QueryResult<Option<(DateTime<Utc>, SubscriptionRow, DateTime<Utc>)>> {
    let may_spend = members::table.find((account_id, viewer)).filter(members::role.ne("reader"));
    subscriptions::table
        .inner_join(accounts::table)
        .filter(subscriptions::account_id.eq(account_id))
        .filter(subscriptions::ended_at.is_null())
        .filter(diesel::dsl::exists(may_spend))
        .select((accounts::created_at, SubscriptionRow::as_select(), now()))
        .first(conn)
        .await
        .optional()
}

/// The subscription of an account and the time; whoever changes it next waits here.
pub async fn lock_unscoped(
    conn: &mut AsyncPgConnection,
    account_id: Uuid,
) -> QueryResult<Option<(SubscriptionRow, DateTime<Utc>)>> {
    subscriptions::table
        .filter(subscriptions::account_id.eq(account_id))
        .filter(subscriptions::ended_at.is_null())
        .for_update()
        .select((SubscriptionRow::as_select(), now()))
        .first(conn)
        .await
        .optional()
}

pub async fn insert(conn: &mut AsyncPgConnection, row: &SubscriptionRow) -> QueryResult<()> {
    diesel::insert_into(subscriptions::table).values(row).execute(conn).await.map(drop)
}

/// Writes a row over the one of the revision before it. False when that is not what is stored.
pub async fn update(conn: &mut AsyncPgConnection, row: &SubscriptionRow) -> QueryResult<bool> {
    let before = subscriptions::table
        .filter(subscriptions::id.eq(row.id))
        .filter(subscriptions::revision.eq(row.revision - 1));
    Ok(diesel::update(before).set(row).execute(conn).await? == 1)
}

pub async fn insert_change(conn: &mut AsyncPgConnection, change: &NewChangeRow<'_>) -> QueryResult<()> {
    diesel::insert_into(subscription_changes::table).values(change).execute(conn).await.map(drop)
}

/// Accounts whose period or loan is over, in the order of their subscriptions: those after the subscription `after`.
pub async fn list_due_unscoped(
    conn: &mut AsyncPgConnection,
    after: Uuid,
    limit: i64,
) -> QueryResult<Vec<(Uuid, Uuid)>> {
    subscriptions::table
        .filter(subscriptions::ended_at.is_null())
        .filter(subscriptions::due_at.le(now()))
        .filter(subscriptions::id.gt(after))
        .order(subscriptions::id)
        .limit(limit)
        .select((subscriptions::id, subscriptions::account_id))
        .load(conn)
        .await
}

/// The database's clock.
pub async fn current_time(conn: &mut AsyncPgConnection) -> QueryResult<DateTime<Utc>> {
    diesel::select(now()).get_result(conn).await
}
