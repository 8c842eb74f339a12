//! Queries of grants.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    domains::credits::{grants::NewGrant, model::GrantRow},
    platform::postgres::{only, statement::statement},
};

/// Makes the wallets that are missing, and locks all there are, by meter. `meters` are sorted.
pub async fn lock_wallets(
    conn: &mut AsyncPgConnection,
    account_id: Uuid,
    meters: &[&str],
) -> QueryResult<()> {
    const MAKE: &str = "\
        INSERT INTO wallets (id, account_id, meter) \
        SELECT uuid_v7(), ?, wanted.meter FROM unnest(?) WITH ORDINALITY AS wanted (meter, place) ORDER BY place \
        ON CONFLICT (account_id, meter) DO NOTHING";
    const LOCK: &str = "SELECT FROM wallets WHERE account_id = ? ORDER BY meter FOR UPDATE";
    // Before any lock, as holds do it: two who make the same wallets wait for each other in one direction.
    statement(MAKE)
        .bind::<sql_types::Uuid, _>(account_id)
        .bind::<sql_types::Array<sql_types::Text>, _>(meters)
        .execute(conn)
        .await?;
    statement(LOCK).bind::<sql_types::Uuid, _>(account_id).execute(conn).await.map(drop)
}

/// A grant of a plan, or what was carried over from one.
#[derive(QueryableByName)]
pub struct PeriodGrantRow {
    #[diesel(sql_type = sql_types::Text)]
    pub meter: String,
    #[diesel(sql_type = sql_types::Text)]
    pub source: String,
    #[diesel(sql_type = sql_types::BigInt)]
    pub amount: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    pub available: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    pub expired: i64,
    #[diesel(sql_type = sql_types::Bool)]
    pub is_of_period: bool,
    #[diesel(sql_type = sql_types::Bool)]
    pub is_ending: bool,
}

/// Those that begin in the period, or end with it: a few for each plan that the account has had in it.
pub async fn list_period_grants_unscoped(
    conn: &mut AsyncPgConnection,
    account_id: Uuid,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
) -> QueryResult<Vec<PeriodGrantRow>> {
    const SQL: &str = "\
        SELECT w.meter, g.source, g.amount, g.available, g.expired, g.starts_at >= p.starts_at AS is_of_period, \
               g.expires_at = p.ends_at AS is_ending \
          FROM (VALUES (?, ?)) AS p (starts_at, ends_at), wallets w JOIN grants g ON g.wallet_id = w.id \
         WHERE w.account_id = ? AND g.source IN ('plan', 'rollover') \
           AND (g.starts_at >= p.starts_at OR g.expires_at = p.ends_at) \
         ORDER BY g.id";
    statement(SQL)
        .bind::<sql_types::Timestamptz, _>(starts_at)
        .bind::<sql_types::Timestamptz, _>(ends_at)
        .bind::<sql_types::Uuid, _>(account_id)
        .load(conn)
        .await
}

/// Adds a grant, once for a source and key; false when it had been added before.
pub async fn insert_grant(conn: &mut AsyncPgConnection, grant: &NewGrant<'_>) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = sql_types::Bool)]
        is_new: bool,
    }
    const SQL: &str = "SELECT ledger_grant(?, ?, ?, ?, ?, ?, ?, ?, coalesce(?, 'infinity'), ?, ?) AS is_new";
    let row: Row = statement(SQL)
        .bind::<sql_types::Uuid, _>(grant.id)
        .bind::<sql_types::Uuid, _>(grant.account_id)
        .bind::<sql_types::Text, _>(grant.meter.as_str())
        .bind::<sql_types::Text, _>(grant.source.as_str())
        .bind::<sql_types::Text, _>(grant.source_key)
        .bind::<sql_types::BigInt, _>(grant.amount)
        .bind::<sql_types::SmallInt, _>(grant.source.priority())
        .bind::<sql_types::Timestamptz, _>(grant.starts_at)
        .bind::<sql_types::Nullable<sql_types::Timestamptz>, _>(grant.expires_at)
        .bind::<sql_types::Nullable<sql_types::Uuid>, _>(grant.user_id)
        .bind::<sql_types::Text, _>(grant.description)
        .load(conn)
        .await
        .and_then(only)?;
    Ok(row.is_new)
}

/// Books the end of what is over, in all wallets of an account.
pub async fn expire(conn: &mut AsyncPgConnection, account_id: Uuid) -> QueryResult<()> {
    const SQL: &str =
        "SELECT ledger_expire(id) FROM (SELECT id FROM wallets WHERE account_id = ? ORDER BY meter) AS mine";
    statement(SQL).bind::<sql_types::Uuid, _>(account_id).execute(conn).await.map(drop)
}

/// Accounts after `after`, by id, with a grant that ended within a week and whose end is not booked.
pub async fn list_with_expired_unscoped(
    conn: &mut AsyncPgConnection,
    after: Uuid,
    limit: i64,
) -> QueryResult<Vec<Uuid>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = sql_types::Uuid)]
        account_id: Uuid,
    }
    const SQL: &str = "\
        SELECT DISTINCT w.account_id FROM grants g JOIN wallets w ON w.id = g.wallet_id \
         WHERE g.expires_at > loquent_now() - interval '7 days' AND g.expires_at <= loquent_now() \
           AND g.available > 0 AND w.account_id > ? ORDER BY w.account_id LIMIT ?";
    let rows: Vec<Row> = statement(SQL)
        .bind::<sql_types::Uuid, _>(after)
        .bind::<sql_types::BigInt, _>(limit)
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|row| row.account_id).collect())
}

/// Which grants are read.
#[derive(Clone, Copy)]
pub enum Wanted<'a> {
    /// Those with something left in these accounts, in the order in which they are spent.
    LeftIn(&'a [Uuid]),
    /// These, whatever is left of them.
    Ids(&'a [Uuid]),
}

/// Grants of credits in accounts whose money the viewer sees.
pub async fn list_grants(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    wanted: Wanted<'_>,
) -> QueryResult<Vec<GrantRow>> {
    const LEFT: &str = "\
        SELECT g.id, w.account_id, g.source, g.amount, g.available, nullif(g.expires_at, 'infinity') AS expires_at, g.created_at \
          FROM (SELECT u.id, u.role = 'admin' AND u.status = 'active' AS is_admin FROM users u WHERE u.id = ?) v, \
               wallets w JOIN grants g ON g.wallet_id = w.id \
         WHERE w.meter = 'credits' AND w.account_id = ANY(?) AND g.available > 0 \
           AND (EXISTS (SELECT FROM members m WHERE m.account_id = w.account_id AND m.user_id = v.id) OR v.is_admin) \
         ORDER BY g.priority, g.expires_at, g.id";
    const BY_ID: &str = "\
        SELECT g.id, w.account_id, g.source, g.amount, g.available, nullif(g.expires_at, 'infinity') AS expires_at, g.created_at \
          FROM (SELECT u.id, u.role = 'admin' AND u.status = 'active' AS is_admin FROM users u WHERE u.id = ?) v, \
               grants g JOIN wallets w ON w.id = g.wallet_id \
         WHERE w.meter = 'credits' AND g.id = ANY(?) \
           AND (EXISTS (SELECT FROM members m WHERE m.account_id = w.account_id AND m.user_id = v.id) OR v.is_admin)";
    let (sql, ids) = match wanted {
        Wanted::LeftIn(accounts) => (LEFT, accounts),
        Wanted::Ids(ids) => (BY_ID, ids),
    };
    statement(sql)
        .bind::<sql_types::Uuid, _>(viewer)
        .bind::<sql_types::Array<sql_types::Uuid>, _>(ids)
        .load(conn)
        .await
}
