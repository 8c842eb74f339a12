//! The writes of a run: its guard and its ends. None of them hits a row once the job is somebody else's.

use std::time::Duration;

use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{OnlyId, Ticket, backoff, milliseconds};
use crate::{
    jobs::repo::JobRow,
    platform::{
        ids::Id,
        postgres::{
            only,
            statement::{Statement, statement},
        },
    },
};

/// The job is still this run's, and its process has not lost its lease. Binds id, owner and fence.
macro_rules! still_mine {
    () => {
        "id = ? AND owner_id = ? AND fence = ? AND state = 'running' \
         AND EXISTS (SELECT FROM replicas r WHERE r.id = owner_id AND r.fenced_at IS NULL)"
    };
}

/// Binds what [`still_mine`] asks for.
fn bind(statement: Statement<'_>, ticket: Ticket) -> Statement<'_> {
    statement
        .bind::<sql_types::Uuid, _>(ticket.job_id)
        .bind::<sql_types::Uuid, _>(ticket.owner_id)
        .bind::<sql_types::Integer, _>(ticket.fence)
}

/// Changes the row of a job that is still this run's; false when it is not.
async fn write(conn: &mut AsyncPgConnection, sql: &'static str, ticket: Ticket) -> QueryResult<bool> {
    Ok(bind(statement(sql), ticket).execute(conn).await? == 1)
}

/// Begins a transaction of a run: the job is its own until the transaction ends. False when it is somebody else's.
pub(in crate::jobs) async fn guard(conn: &mut AsyncPgConnection, ticket: Ticket) -> QueryResult<bool> {
    const SQL: &str = concat!("SELECT id FROM jobs WHERE ", still_mine!(), " FOR UPDATE");
    let found: Option<OnlyId> = bind(statement(SQL), ticket).load(conn).await.and_then(only).optional()?;
    Ok(found.is_some())
}

/// The job is done. False when it is somebody else's.
pub(in crate::jobs) async fn complete(conn: &mut AsyncPgConnection, ticket: Ticket) -> QueryResult<bool> {
    const SQL: &str = concat!(
        "UPDATE jobs SET state = 'done', owner_id = NULL, reason = NULL, finished_at = loquent_now() WHERE ",
        still_mine!()
    );
    write(conn, SQL, ticket).await
}

impl Ended {
    /// A dead letter is said once, where it dies.
    pub fn log(&self) {
        tracing::error!(job.id = %Id::<JobRow>::new(self.id), job.name = self.name, "a job is dead; `loquent jobs list --state dead` shows why");
    }
}

/// As [`complete`] for many jobs; the ids of those that were still their runs'.
pub(in crate::jobs) async fn complete_all(
    conn: &mut AsyncPgConnection,
    tickets: &[Ticket],
) -> QueryResult<Vec<Uuid>> {
    const SQL: &str = "\
        UPDATE jobs SET state = 'done', owner_id = NULL, reason = NULL, finished_at = loquent_now() \
          FROM unnest(?::uuid[], ?::uuid[], ?::int[]) AS mine (id, owner_id, fence) \
         WHERE jobs.id = mine.id AND jobs.owner_id = mine.owner_id AND jobs.fence = mine.fence \
           AND state = 'running' \
           AND EXISTS (SELECT FROM replicas r WHERE r.id = mine.owner_id AND r.fenced_at IS NULL) RETURNING jobs.id";
    let column = |get: fn(&Ticket) -> Uuid| tickets.iter().map(get).collect::<Vec<Uuid>>();
    let done: Vec<OnlyId> = statement(SQL)
        .bind::<sql_types::Array<sql_types::Uuid>, _>(column(|ticket| ticket.job_id))
        .bind::<sql_types::Array<sql_types::Uuid>, _>(column(|ticket| ticket.owner_id))
        .bind::<sql_types::Array<sql_types::Integer>, _>(
            tickets.iter().map(|ticket| ticket.fence).collect::<Vec<i32>>(),
        )
        .load(conn)
        .await?;
    Ok(done.into_iter().map(|job| job.id).collect())
}

/// What became of a failed attempt.
#[derive(Debug, QueryableByName)]
pub(in crate::jobs) struct Ended {
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
pub(in crate::jobs) async fn fail(
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
    let statement = statement(SQL)
        .bind::<sql_types::Bool, _>(is_final)
        .bind::<sql_types::BigInt, _>(milliseconds(pause))
        .bind::<sql_types::Text, _>(reason);
    bind(statement, ticket).load(conn).await.and_then(only).optional()
}

/// Gives a job back that this process could not finish; the attempt does not count. False when it is somebody else's.
pub(in crate::jobs) async fn give_back(conn: &mut AsyncPgConnection, ticket: Ticket) -> QueryResult<bool> {
    const SQL: &str = concat!(
        "UPDATE jobs SET state = 'ready', owner_id = NULL, attempts = attempts - 1 WHERE ",
        still_mine!()
    );
    write(conn, SQL, ticket).await
}
