//! The statements of a run's life: all writes to the table `jobs` that happen while the product works. Each is whole by
//! itself; those of a run carry its [`Ticket`] and hit no row once the job is somebody else's.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::failure::Failure;
use crate::{error::AppError, platform::postgres::statement::statement};

/// The random bits of an account's id, which are its lane; one bit less than a signed number has.
const LANE_BITS: u64 = (1 << 62) - 1;

/// When a job that has failed `attempts` times is tried again: at random within a time that doubles from a second to
/// an hour, so that what failed together does not come back together.
macro_rules! backoff {
    () => {
        "random() * least(3600, power(2, least(attempts, 30) - 1)) * interval '1 second'"
    };
}

/// The job is still this run's, and its process has not lost its lease. Binds id, owner and fence.
macro_rules! still_mine {
    () => {
        "id = ? AND owner_id = ? AND fence = ? AND state = 'running' \
         AND EXISTS (SELECT FROM replicas r WHERE r.id = owner_id AND r.fenced_at IS NULL)"
    };
}

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

/// A job that was claimed; the attempt is counted.
#[derive(Debug, QueryableByName)]
pub(super) struct Claimed {
    #[diesel(sql_type = sql_types::Uuid)]
    pub id: Uuid,
    #[diesel(sql_type = sql_types::Text)]
    pub name: String,
    #[diesel(sql_type = sql_types::Jsonb)]
    pub payload: serde_json::Value,
    #[diesel(sql_type = sql_types::SmallInt)]
    pub attempts: i16,
    #[diesel(sql_type = sql_types::SmallInt)]
    pub max_attempts: i16,
    #[diesel(sql_type = sql_types::Integer)]
    pub fence: i32,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub request_id: Option<String>,
}

/// What a process would like to claim.
pub(super) struct Wish<'a> {
    pub queue: &'a str,
    pub owner_id: Uuid,
    /// Jobs at most.
    pub free: i64,
    /// Runs of one account, beyond which it lets others go first.
    pub share: i64,
    /// Where to begin looking among the lanes, from 0; chosen at random.
    pub pivot: i64,
    /// The kinds that this process knows, each with the longest time of an attempt.
    pub kinds: &'a [(&'static str, Duration)],
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
        .get_result(conn)
        .await
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
    i64::try_from(low & LANE_BITS).unwrap_or(i64::MAX).max(1)
}

/// Takes up to `free` jobs of a queue whose time has come, the most urgent and then the oldest first, and counts the
/// attempts. An account that has `share` runs in the queue lets all others go first; if nobody else has work, it goes
/// on.
///
/// A claim skips through the index from kind to kind, priority to priority and account to account (a *lane*), and
/// reads a few rows of each, at most 16 lanes a kind and priority on either side of the pivot. So it costs the
/// same whatever waits behind, and each lane comes into view in turn. Which kinds, priorities and lanes there are, and
/// how many runs an account has, is exact at the beginning of the statement; claims of the same moment do not see each
/// other, so an account may for a while have more than its share by what other processes claim just then.
pub(super) async fn claim(conn: &mut AsyncPgConnection, wish: &Wish<'_>) -> QueryResult<Vec<Claimed>> {
    let (names, limits): (Vec<&str>, Vec<i64>) =
        wish.kinds.iter().map(|(name, limit)| (*name, milliseconds(*limit))).unzip();
    statement(CLAIM)
        .bind::<sql_types::Text, _>(wish.queue)
        .bind::<sql_types::BigInt, _>(wish.free)
        .bind::<sql_types::BigInt, _>(wish.share)
        .bind::<sql_types::BigInt, _>(wish.pivot)
        .bind::<sql_types::Uuid, _>(wish.owner_id)
        .bind::<sql_types::Array<sql_types::Text>, _>(names)
        .bind::<sql_types::Array<sql_types::BigInt>, _>(limits)
        .load(conn)
        .await
}

/// A claim; the parts of it, from the outside in:
///
/// - `levels`: the priorities that wait, by kind, each found by one step in the index; 16 at most.
/// - `lanes`: accounts with work on each level, from the pivot upward and from the bottom to the pivot; 16 on either
///   side.
/// - `candidates`: the first rows of each lane, with their place in the account's share. A few more than are free,
///   because concurrent claims lock the first ones.
/// - `chosen`: those of them that nobody else has locked. Its rows are found by id, one by one and in order, which the
///   row lock inside the lateral query makes sure of.
pub const CLAIM: &str = "\
    WITH RECURSIVE p AS (\
      SELECT me.id AS owner_id, ?::text AS queue, ?::bigint AS free, ?::bigint AS share, ?::bigint AS pivot \
        FROM replicas me WHERE me.id = ? AND me.fenced_at IS NULL AND me.drained_at IS NULL), \
    kinds AS (SELECT k.name, k.limit_ms FROM unnest(?::text[], ?::bigint[]) AS k (name, limit_ms)), \
    levels AS (\
      SELECT k.name, l.priority, 1 AS step FROM p CROSS JOIN kinds k CROSS JOIN LATERAL (\
        SELECT j.priority FROM jobs j WHERE j.queue = p.queue AND j.name = k.name AND j.state = 'ready' \
         ORDER BY j.priority LIMIT 1) l \
      UNION ALL \
      SELECT v.name, l.priority, v.step + 1 FROM levels v CROSS JOIN p CROSS JOIN LATERAL (\
        SELECT j.priority FROM jobs j WHERE j.queue = p.queue AND j.name = v.name AND j.state = 'ready' \
           AND j.priority > v.priority ORDER BY j.priority LIMIT 1) l \
       WHERE v.step < 16), \
    lanes AS (\
      SELECT v.name, v.priority, l.lane, side.until, 1 AS step FROM p CROSS JOIN levels v \
       CROSS JOIN LATERAL (VALUES (p.pivot, 9223372036854775807), (0, p.pivot)) AS side (since, until) \
       CROSS JOIN LATERAL (\
        SELECT j.lane FROM jobs j WHERE j.queue = p.queue AND j.name = v.name AND j.priority = v.priority \
           AND j.state = 'ready' AND j.lane >= side.since AND j.lane < side.until ORDER BY j.lane LIMIT 1) l \
      UNION ALL \
      SELECT v.name, v.priority, l.lane, v.until, v.step + 1 FROM lanes v CROSS JOIN p CROSS JOIN LATERAL (\
        SELECT j.lane FROM jobs j WHERE j.queue = p.queue AND j.name = v.name AND j.priority = v.priority \
           AND j.state = 'ready' AND j.lane > v.lane AND j.lane < v.until ORDER BY j.lane LIMIT 1) l \
       WHERE v.step < 16), \
    candidates AS (\
      SELECT c.id, v.name, v.priority, c.run_at, v.lane > 0 AND p.share < \
             busy.runs + row_number() OVER (PARTITION BY v.lane ORDER BY v.priority, c.run_at, c.id) AS is_beyond_share \
        FROM p CROSS JOIN lanes v \
       CROSS JOIN LATERAL (\
        SELECT count(*) AS runs FROM (\
          SELECT FROM jobs r WHERE r.queue = p.queue AND r.lane = v.lane AND r.state = 'running' LIMIT p.share) r) busy \
       CROSS JOIN LATERAL (\
        SELECT j.id, j.run_at FROM jobs j WHERE j.queue = p.queue AND j.name = v.name AND j.priority = v.priority \
           AND j.lane = v.lane AND j.state = 'ready' ORDER BY j.run_at, j.id LIMIT p.free + 16) c), \
    chosen AS (\
      SELECT c.id, c.name FROM (\
        SELECT c.id, c.name FROM candidates c ORDER BY c.is_beyond_share, c.priority, c.run_at, c.id) c \
       CROSS JOIN LATERAL (\
        SELECT FROM jobs j WHERE j.id = c.id AND j.state = 'ready' FOR UPDATE SKIP LOCKED) mine \
       LIMIT (SELECT free FROM p)) \
    UPDATE jobs j SET state = 'running', owner_id = p.owner_id, fence = j.fence + 1, attempts = j.attempts + 1, \
           claimed_at = loquent_now(), deadline_at = loquent_now() + k.limit_ms * interval '1 millisecond' \
      FROM p CROSS JOIN kinds k WHERE j.id = ANY (ARRAY(SELECT id FROM chosen)) AND k.name = j.name \
    RETURNING j.id, j.name, j.payload, j.attempts, j.max_attempts, j.fence, j.request_id";

/// Begins a transaction of a run: the job is its own until the transaction ends. False when it is somebody else's.
pub(super) async fn guard(conn: &mut AsyncPgConnection, ticket: Ticket) -> QueryResult<bool> {
    const SQL: &str = concat!("SELECT id FROM jobs WHERE ", still_mine!(), " FOR UPDATE");
    let found: Option<OnlyId> = statement(SQL)
        .bind::<sql_types::Uuid, _>(ticket.job_id)
        .bind::<sql_types::Uuid, _>(ticket.owner_id)
        .bind::<sql_types::Integer, _>(ticket.fence)
        .get_result(conn)
        .await
        .optional()?;
    Ok(found.is_some())
}

/// The job is done. False when it is somebody else's.
pub(super) async fn complete(conn: &mut AsyncPgConnection, ticket: Ticket) -> QueryResult<bool> {
    const SQL: &str = concat!(
        "UPDATE jobs SET state = 'done', owner_id = NULL, reason = NULL, finished_at = loquent_now() WHERE ",
        still_mine!()
    );
    let written = statement(SQL)
        .bind::<sql_types::Uuid, _>(ticket.job_id)
        .bind::<sql_types::Uuid, _>(ticket.owner_id)
        .bind::<sql_types::Integer, _>(ticket.fence)
        .execute(conn)
        .await?;
    Ok(written == 1)
}

impl Ended {
    /// A dead letter is said once, where it dies.
    pub fn log(&self) {
        tracing::error!(job.id = %self.id, job.name = self.name, "a job is dead; `loquent jobs list --state dead` shows why");
    }
}

/// What became of a failed attempt.
#[derive(Debug, QueryableByName)]
pub(super) struct Ended {
    #[diesel(sql_type = sql_types::Uuid)]
    pub id: Uuid,
    #[diesel(sql_type = sql_types::Text)]
    pub name: String,
    /// There is no further attempt.
    #[diesel(sql_type = sql_types::Bool)]
    pub is_dead: bool,
}

/// The attempt has failed: the next comes after the backoff and not before `pause`, unless this was the last, or none
/// makes sense. `None` when the job is somebody else's.
pub(super) async fn fail(
    conn: &mut AsyncPgConnection,
    ticket: Ticket,
    reason: &str,
    is_final: bool,
    pause: Duration,
) -> QueryResult<Option<Ended>> {
    const SQL: &str = concat!(
        "WITH p AS (SELECT ?::boolean AS is_final, ?::bigint * interval '1 millisecond' AS pause, ?::text AS reason), \
         mine AS (SELECT id, (p.is_final OR attempts >= max_attempts) AS is_dead FROM p, jobs WHERE ",
        still_mine!(),
        " FOR UPDATE OF jobs) \
         UPDATE jobs SET owner_id = NULL, reason = p.reason, state = CASE WHEN is_dead THEN 'dead' ELSE 'scheduled' END, \
                run_at = CASE WHEN is_dead THEN run_at ELSE loquent_now() + greatest(p.pause, ",
        backoff!(),
        ") END, finished_at = CASE WHEN is_dead THEN loquent_now() END \
           FROM p, mine WHERE jobs.id = mine.id RETURNING jobs.id, jobs.name, is_dead"
    );
    statement(SQL)
        .bind::<sql_types::Bool, _>(is_final)
        .bind::<sql_types::BigInt, _>(milliseconds(pause))
        .bind::<sql_types::Text, _>(reason)
        .bind::<sql_types::Uuid, _>(ticket.job_id)
        .bind::<sql_types::Uuid, _>(ticket.owner_id)
        .bind::<sql_types::Integer, _>(ticket.fence)
        .get_result(conn)
        .await
        .optional()
}

/// Gives a job back that this process could not finish; the attempt does not count. False when it is somebody else's.
pub(super) async fn give_back(conn: &mut AsyncPgConnection, ticket: Ticket) -> QueryResult<bool> {
    const SQL: &str = concat!(
        "UPDATE jobs SET state = 'ready', owner_id = NULL, attempts = attempts - 1 WHERE ",
        still_mine!()
    );
    let written = statement(SQL)
        .bind::<sql_types::Uuid, _>(ticket.job_id)
        .bind::<sql_types::Uuid, _>(ticket.owner_id)
        .bind::<sql_types::Integer, _>(ticket.fence)
        .execute(conn)
        .await?;
    Ok(written == 1)
}

/// Makes jobs ready whose time has come, so many at most; how many there were.
pub(super) async fn promote(conn: &mut AsyncPgConnection, limit: i64) -> QueryResult<usize> {
    const SQL: &str = "\
        UPDATE jobs SET state = 'ready' WHERE id = ANY (ARRAY(\
          SELECT id FROM jobs WHERE state = 'scheduled' AND run_at <= loquent_now() \
           ORDER BY run_at LIMIT ? FOR UPDATE SKIP LOCKED))";
    statement(SQL).bind::<sql_types::BigInt, _>(limit).execute(conn).await
}

/// Takes jobs from processes that are gone, and from those that have not cut an attempt a minute after its deadline, so
/// many at most. The attempt counts. A transaction of the run that has passed its guard is left to end first.
pub(super) async fn take_over(conn: &mut AsyncPgConnection, limit: i64) -> QueryResult<Vec<Ended>> {
    const SQL: &str = concat!(
        "WITH lost AS (\
           SELECT j.id, j.attempts >= j.max_attempts AS is_dead FROM jobs j LEFT JOIN replicas r ON r.id = j.owner_id \
            WHERE j.state = 'running' AND (r.id IS NULL OR r.fenced_at IS NOT NULL OR r.drained_at IS NOT NULL \
                                            OR j.deadline_at + interval '1 minute' < loquent_now()) \
            LIMIT ? FOR UPDATE OF j SKIP LOCKED) \
         UPDATE jobs SET owner_id = NULL, reason = 'The process that ran it came to an end.', \
                state = CASE WHEN is_dead THEN 'dead' ELSE 'scheduled' END, \
                run_at = CASE WHEN is_dead THEN run_at ELSE loquent_now() + ",
        backoff!(),
        " END, finished_at = CASE WHEN is_dead THEN loquent_now() END \
           FROM lost WHERE jobs.id = lost.id RETURNING jobs.id, jobs.name, is_dead"
    );
    statement(SQL).bind::<sql_types::BigInt, _>(limit).load(conn).await
}

/// Gives back what this process has claimed without learning of it, because the answer was lost; `known` is what it
/// runs. The attempts do not count: nothing ran.
pub(super) async fn give_back_unknown(
    conn: &mut AsyncPgConnection,
    owner_id: Uuid,
    known: &[Uuid],
) -> QueryResult<usize> {
    const SQL: &str = "\
        UPDATE jobs SET state = 'ready', owner_id = NULL, attempts = attempts - 1 \
         WHERE owner_id = ? AND state = 'running' AND NOT id = ANY (?) \
           AND claimed_at < loquent_now() - interval '10 seconds'";
    statement(SQL)
        .bind::<sql_types::Uuid, _>(owner_id)
        .bind::<sql_types::Array<sql_types::Uuid>, _>(known)
        .execute(conn)
        .await
}

/// Removes jobs that were done or canceled more than seven days ago, so many at most. Dead ones stay until somebody
/// decides.
pub async fn prune(conn: &mut AsyncPgConnection, limit: i64) -> QueryResult<usize> {
    const SQL: &str = "\
        DELETE FROM jobs WHERE id = ANY (ARRAY(\
          SELECT id FROM jobs WHERE state IN ('done', 'canceled') AND finished_at < loquent_now() - interval '7 days' \
           ORDER BY finished_at LIMIT ? FOR UPDATE SKIP LOCKED))";
    statement(SQL).bind::<sql_types::BigInt, _>(limit).execute(conn).await
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl From<diesel::result::Error> for Failure {
    fn from(error: diesel::result::Error) -> Self {
        AppError::from(error).into()
    }
}
