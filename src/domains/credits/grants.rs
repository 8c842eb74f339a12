//! Granting and expiring, for those who decide what an account gets. All of it belongs to a transaction of theirs.

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use uuid::Uuid;

use super::repo::grants as repo;
use crate::{
    domains::catalog::Meter,
    error::{AppError, Result},
};

/// Why something was granted; it decides what is spent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantSource {
    /// Included in a plan.
    Plan,
    /// What is left of an earlier period.
    Rollover,
    Purchase,
    /// A welcome, for example.
    Promotion,
    /// By an administrator.
    Adjustment,
}

impl GrantSource {
    const ALL: [Self; 5] = [Self::Plan, Self::Rollover, Self::Purchase, Self::Promotion, Self::Adjustment];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Rollover => "rollover",
            Self::Purchase => "purchase",
            Self::Promotion => "promotion",
            Self::Adjustment => "adjustment",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == text)
    }

    /// Lower is spent first.
    pub(super) fn priority(self) -> i16 {
        match self {
            Self::Plan => 10,
            Self::Rollover => 20,
            Self::Promotion => 30,
            Self::Adjustment => 40,
            Self::Purchase => 100,
        }
    }
}

/// Something for an account.
#[derive(Debug, Clone)]
pub struct NewGrant<'a> {
    pub id: Uuid,
    pub account_id: Uuid,
    pub meter: Meter,
    pub source: GrantSource,
    /// The thing granted for; a second grant for the same changes nothing.
    pub source_key: &'a str,
    /// Above 0; of credits and cost in millionths.
    pub amount: i64,
    pub starts_at: DateTime<Utc>,
    /// `None`: never.
    pub expires_at: Option<DateTime<Utc>>,
    /// Who brought it about, if it was a person.
    pub user_id: Option<Uuid>,
    pub description: &'a str,
}

/// A grant of a plan in the light of one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeriodGrant {
    pub meter: Meter,
    pub source: GrantSource,
    pub amount: i64,
    /// What was not used by its end, or is not yet. What is held is used.
    pub rest: i64,
    /// True when it began in the period.
    pub is_of_period: bool,
    /// True when it ends with the period.
    pub is_ending: bool,
}

/// Locks all wallets of an account in the order in which everybody does; those of `meters` are made if they are missing.
pub async fn lock_wallets_in_tx(
    conn: &mut AsyncPgConnection,
    account_id: Uuid,
    meters: impl IntoIterator<Item = Meter>,
) -> Result<()> {
    let mut meters: Vec<&str> = meters.into_iter().map(Meter::as_str).collect();
    meters.sort_unstable();
    Ok(repo::lock_wallets(conn, account_id, &meters).await?)
}

/// What plans have granted to an account in the period between two instants, or until its end.
pub async fn list_period_grants(
    conn: &mut AsyncPgConnection,
    account_id: Uuid,
    (starts_at, ends_at): (DateTime<Utc>, DateTime<Utc>),
) -> Result<Vec<PeriodGrant>> {
    let rows = repo::list_period_grants_unscoped(conn, account_id, starts_at, ends_at).await?;
    rows.into_iter().map(period_grant).collect()
}

fn period_grant(row: repo::PeriodGrantRow) -> Result<PeriodGrant> {
    let unknown = || AppError::internal(anyhow::anyhow!("a grant of {} by {}", row.meter, row.source));
    Ok(PeriodGrant {
        meter: Meter::parse(&row.meter).ok_or_else(unknown)?,
        source: GrantSource::parse(&row.source).ok_or_else(unknown)?,
        amount: row.amount,
        rest: row.available + row.expired,
        is_of_period: row.is_of_period,
        is_ending: row.is_ending,
    })
}

/// Adds a grant, once for a source and key; false when it had been added before.
pub async fn grant_in_tx(conn: &mut AsyncPgConnection, grant: &NewGrant<'_>) -> Result<bool> {
    Ok(repo::insert_grant(conn, grant).await?)
}

/// Books the end of whatever an account has whose time is over.
pub async fn expire_in_tx(conn: &mut AsyncPgConnection, account_id: Uuid) -> Result<()> {
    Ok(repo::expire(conn, account_id).await?)
}

/// Accounts that have something whose time is over, and whose end is not booked: at most `limit`, none older than a week,
/// because whoever reads or spends books it too.
pub async fn list_with_expired(conn: &mut AsyncPgConnection, after: Uuid, limit: i64) -> Result<Vec<Uuid>> {
    Ok(repo::list_with_expired_unscoped(conn, after, limit).await?)
}
