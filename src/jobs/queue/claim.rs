//! Claiming: the one statement by which a runner gets its work.

use std::time::Duration;

use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::milliseconds;
use crate::platform::postgres::statement::statement;

/// A job that was claimed; the attempt is counted.
#[derive(Debug, QueryableByName)]
pub(in crate::jobs) struct Claimed {
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
pub(in crate::jobs) struct Wish<'a> {
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

/// Takes up to `free` jobs of a queue whose time has come, and counts the attempts: the most urgent first, of those in
/// turns the account with the fewest runs, and of an account the oldest. Which of two equal accounts goes first is left
/// to the pivot. An account that has `share` runs in the queue lets all others go first, however urgent its work; if
/// nobody else has work, it goes on.
///
/// A claim skips through the index from kind to kind, priority to priority and account to account (a *lane*), and
/// reads a few rows of each, at most 16 lanes a kind and priority on either side of the pivot. So it costs the
/// same whatever waits behind, and each lane comes into view in turn. Which kinds, priorities and lanes there are, and
/// how many runs an account has, is exact at the beginning of the statement; claims of the same moment do not see each
/// other, so an account may for a while have more than its share by what other processes claim just then.
pub(in crate::jobs) async fn claim(
    conn: &mut AsyncPgConnection,
    wish: &Wish<'_>,
) -> QueryResult<Vec<Claimed>> {
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
/// - `candidates`: the first rows of each lane, with the place they would have among the account's runs. A few more than are free,
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
      SELECT c.id, v.priority, v.lane, v.lane < p.pivot AS is_below, \
             busy.runs + row_number() OVER (PARTITION BY v.lane ORDER BY v.priority, c.run_at, c.id) AS place \
        FROM p CROSS JOIN lanes v \
       CROSS JOIN LATERAL (\
        SELECT count(*) AS runs FROM (\
          SELECT FROM jobs r WHERE r.queue = p.queue AND r.lane = v.lane AND r.state = 'running' LIMIT p.share) r) busy \
       CROSS JOIN LATERAL (\
        SELECT j.id, j.run_at FROM jobs j WHERE j.queue = p.queue AND j.name = v.name AND j.priority = v.priority \
           AND j.lane = v.lane AND j.state = 'ready' ORDER BY j.run_at, j.id LIMIT p.free + 16) c), \
    chosen AS (\
      SELECT c.id FROM (\
        SELECT c.id FROM p CROSS JOIN candidates c \
         ORDER BY c.lane > 0 AND c.place > p.share, c.priority, c.place, c.is_below, c.lane) c \
       CROSS JOIN LATERAL (\
        SELECT FROM jobs j WHERE j.id = c.id AND j.state = 'ready' FOR UPDATE SKIP LOCKED) mine \
       LIMIT (SELECT free FROM p)) \
    UPDATE jobs j SET state = 'running', owner_id = p.owner_id, fence = j.fence + 1, attempts = j.attempts + 1, \
           claimed_at = loquent_now(), deadline_at = loquent_now() + k.limit_ms * interval '1 millisecond' \
      FROM p CROSS JOIN kinds k WHERE j.id = ANY (ARRAY(SELECT id FROM chosen)) AND k.name = j.name \
    RETURNING j.id, j.name, j.payload, j.attempts, j.max_attempts, j.fence, j.request_id";
