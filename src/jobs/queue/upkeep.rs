//! What keeps the queue going whoever dies: promotion, takeover, pruning, and counting.

use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{Ended, backoff};
use crate::platform::postgres::statement::statement;

/// Makes jobs ready whose time has come, so many at most; how many there were.
pub(in crate::jobs) async fn promote(conn: &mut AsyncPgConnection, limit: i64) -> QueryResult<usize> {
    const SQL: &str = "\
        UPDATE jobs SET state = 'ready' WHERE id = ANY (ARRAY(\
          SELECT id FROM jobs WHERE state = 'scheduled' AND run_at <= loquent_now() \
           ORDER BY run_at LIMIT ? FOR UPDATE SKIP LOCKED))";
    statement(SQL).bind::<sql_types::BigInt, _>(limit).execute(conn).await
}

/// Takes jobs from processes that are gone, and from those that have not cut an attempt a minute after its deadline, so
/// many at most. The attempt counts. A transaction of the run that has passed its guard is left to end first. A job that
/// somebody else has claimed meanwhile is another claim than the one that was judged, and stays.
pub(in crate::jobs) async fn take_over(conn: &mut AsyncPgConnection, limit: i64) -> QueryResult<Vec<Ended>> {
    const SQL: &str = concat!(
        "WITH gone AS MATERIALIZED (\
           SELECT j.id, j.fence FROM jobs j LEFT JOIN replicas r ON r.id = j.owner_id \
            WHERE j.state = 'running' AND (r.id IS NULL OR r.fenced_at IS NOT NULL \
                                            OR j.deadline_at + interval '1 minute' < loquent_now()) \
            LIMIT ?), \
         lost AS (\
           SELECT j.id, j.attempts >= j.max_attempts AS is_dead FROM gone \
             JOIN jobs j ON j.id = gone.id AND j.fence = gone.fence AND j.state = 'running' \
              FOR UPDATE OF j SKIP LOCKED) \
         UPDATE jobs SET owner_id = NULL, reason = 'The process that ran it came to an end.', \
                state = CASE WHEN is_dead THEN 'dead' ELSE 'scheduled' END, \
                run_at = CASE WHEN is_dead THEN run_at ELSE loquent_now() + ",
        backoff!(),
        " END, finished_at = CASE WHEN is_dead THEN loquent_now() END \
           FROM lost WHERE jobs.id = lost.id RETURNING jobs.id, jobs.name, is_dead"
    );
    statement(SQL).bind::<sql_types::BigInt, _>(limit).load(conn).await
}

/// Gives back what processes that said goodbye have left behind, so many at most. The attempts do not count: a stop that
/// was asked for is no crash.
pub(in crate::jobs) async fn give_back_of_drained(
    conn: &mut AsyncPgConnection,
    limit: i64,
) -> QueryResult<usize> {
    const SQL: &str = "\
        WITH left_over AS MATERIALIZED (\
          SELECT j.id, j.fence FROM jobs j JOIN replicas r ON r.id = j.owner_id \
           WHERE j.state = 'running' AND r.drained_at IS NOT NULL AND r.fenced_at IS NULL LIMIT ?), \
        free AS (\
          SELECT j.id FROM left_over JOIN jobs j ON j.id = left_over.id AND j.fence = left_over.fence \
             AND j.state = 'running' FOR UPDATE OF j SKIP LOCKED) \
        UPDATE jobs SET state = 'ready', owner_id = NULL, attempts = attempts - 1 FROM free WHERE jobs.id = free.id";
    statement(SQL).bind::<sql_types::BigInt, _>(limit).execute(conn).await
}

/// Gives back what this process has claimed without learning of it, because the answer was lost; `known` is what it
/// runs. The attempts do not count: nothing ran.
pub(in crate::jobs) async fn give_back_unknown(
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

/// Jobs of a queue in a state.
#[derive(Debug, QueryableByName)]
pub(in crate::jobs) struct Count {
    #[diesel(sql_type = sql_types::Text)]
    pub queue: String,
    #[diesel(sql_type = sql_types::Text)]
    pub state: String,
    #[diesel(sql_type = sql_types::BigInt)]
    pub jobs: i64,
    /// Since its time came.
    #[diesel(sql_type = sql_types::Double)]
    pub oldest_seconds: f64,
}

/// Counts what is alive, up to `limit` jobs in all, so that a full queue is not made slower by being looked at.
pub(in crate::jobs) async fn count(conn: &mut AsyncPgConnection, limit: i64) -> QueryResult<Vec<Count>> {
    const SQL: &str = "\
        SELECT queue, state, count(*) AS jobs, \
               greatest(0, extract(epoch FROM loquent_now() - min(run_at)))::float8 AS oldest_seconds \
          FROM (SELECT queue, state, run_at FROM jobs WHERE state IN ('scheduled', 'ready', 'running') LIMIT ?) alive \
         GROUP BY queue, state";
    statement(SQL).bind::<sql_types::BigInt, _>(limit).load(conn).await
}

/// Dead letters by name, up to `limit` in all.
pub(in crate::jobs) async fn count_dead(
    conn: &mut AsyncPgConnection,
    limit: i64,
) -> QueryResult<Vec<(String, i64)>> {
    #[derive(QueryableByName)]
    struct Dead {
        #[diesel(sql_type = sql_types::Text)]
        name: String,
        #[diesel(sql_type = sql_types::BigInt)]
        jobs: i64,
    }
    const SQL: &str = "\
        SELECT name, count(*) AS jobs FROM (SELECT name FROM jobs WHERE state = 'dead' LIMIT ?) dead GROUP BY name";
    let dead: Vec<Dead> = statement(SQL).bind::<sql_types::BigInt, _>(limit).load(conn).await?;
    Ok(dead.into_iter().map(|dead| (dead.name, dead.jobs)).collect())
}
