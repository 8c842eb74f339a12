//! The statements of the queue: every write to the table `jobs` but those of an operator ([`super::repo`]). Each is whole by itself; those
//! of a run carry its [`Ticket`] and hit no row once the job is somebody else's.

mod claim;
mod end;
mod upkeep;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::failure::Failure;
use crate::{
    error::AppError,
    platform::postgres::{only, statement::statement},
};

pub use self::{claim::CLAIM, upkeep::prune};
pub(super) use self::{
    claim::{Claimed, Wish, claim},
    end::{Ended, complete, complete_all, fail, give_back, guard},
    upkeep::{count, count_dead, give_back_of_drained, give_back_unknown, promote, take_over},
};

/// A statement of the queue takes milliseconds. One that takes longer than this has not heard of the server, and is given
/// up with its connection.
pub(super) const LIMIT: Duration = Duration::from_secs(5);

/// Lanes are numbered below this: as many bits of an account's id are random.
pub(super) const LANES: i64 = 1 << 62;

/// When a job that has failed `attempts` times is tried again: at random within a time that doubles from a second to
/// an hour, so that what failed together does not come back together.
macro_rules! backoff {
    () => {
        "random() * least(3600, power(2, least(attempts, 30) - 1)) * interval '1 second'"
    };
}
use backoff;

/// A job on its way into the queue.
pub(super) struct NewJob {
    pub queue: &'static str,
    pub name: &'static str,
    pub account_id: Option<Uuid>,
    pub payload: serde_json::Value,
    pub unique_key: Option<String>,
    pub priority: i16,
    pub run_at: Option<DateTime<Utc>>,
    pub max_attempts: i16,
    pub request_id: Option<Arc<str>>,
}

/// By what a run is known to the database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub job_id: Uuid,
    pub owner_id: Uuid,
    pub fence: i32,
}

/// Puts a job into the queue; `None` when a live one has its unique key.
pub(super) async fn insert(conn: &mut AsyncPgConnection, new: NewJob) -> QueryResult<Option<Uuid>> {
    const SQL: &str = "\
        WITH p AS (SELECT coalesce(?::timestamptz, loquent_now()) AS run_at) \
        INSERT INTO jobs (queue, name, account_id, lane, payload, unique_key, priority, max_attempts, request_id, \
                          run_at, state) \
        SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, p.run_at, \
               CASE WHEN p.run_at > loquent_now() THEN 'scheduled' ELSE 'ready' END FROM p \
        ON CONFLICT (unique_key) WHERE state IN ('scheduled', 'ready', 'running') DO NOTHING RETURNING id";
    let inserted: Option<OnlyId> = statement(SQL)
        .bind::<sql_types::Nullable<sql_types::Timestamptz>, _>(new.run_at)
        .bind::<sql_types::Text, _>(new.queue)
        .bind::<sql_types::Text, _>(new.name)
        .bind::<sql_types::Nullable<sql_types::Uuid>, _>(new.account_id)
        .bind::<sql_types::BigInt, _>(new.account_id.map_or(0, lane_of))
        .bind::<sql_types::Jsonb, _>(new.payload)
        .bind::<sql_types::Nullable<sql_types::Text>, _>(new.unique_key)
        .bind::<sql_types::SmallInt, _>(new.priority)
        .bind::<sql_types::SmallInt, _>(new.max_attempts)
        .bind::<sql_types::Nullable<sql_types::Text>, _>(new.request_id.as_deref())
        .load(conn)
        .await
        .and_then(only)
        .optional()?;
    Ok(inserted.map(|job| job.id))
}

#[derive(QueryableByName)]
struct OnlyId {
    #[diesel(sql_type = sql_types::Uuid)]
    id: Uuid,
}

/// Lanes are spread evenly whenever their accounts were made, so that a random pivot is fair; 0 is the house.
fn lane_of(account_id: Uuid) -> i64 {
    let (_, low) = account_id.as_u64_pair();
    i64::try_from(low & (LANES.unsigned_abs() - 1)).unwrap_or(i64::MAX).max(1)
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl From<diesel::result::Error> for Failure {
    fn from(error: diesel::result::Error) -> Self {
        AppError::from(error).into()
    }
}
