//! What operators ask of the queue: which jobs there are, and to retry or discard some.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    result::{DatabaseErrorKind, Error as DieselError},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    platform::{ids::Entity, postgres::now},
    schema::jobs,
};

/// A job as operators see it; never its payload.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = jobs)]
pub struct JobRow {
    pub id: Uuid,
    pub queue: String,
    pub name: String,
    pub account_id: Option<Uuid>,
    pub state: String,
    pub run_at: DateTime<Utc>,
    pub attempts: i16,
    pub max_attempts: i16,
    /// Why the last attempt failed.
    pub reason: Option<String>,
    pub created_at: DateTime<Utc>,
    pub claimed_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl Entity for JobRow {
    const PREFIX: &'static str = "job";
}

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    Scheduled,
    Ready,
    Running,
    Done,
    Dead,
    Canceled,
}

impl JobState {
    pub const ALL: [Self; 6] =
        [Self::Scheduled, Self::Ready, Self::Running, Self::Done, Self::Dead, Self::Canceled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Canceled => "canceled",
        }
    }
}

/// The newest jobs in these states, of one name if one is given, with the time of the database.
pub async fn list(
    conn: &mut AsyncPgConnection,
    states: &[JobState],
    name: Option<&str>,
    limit: i64,
) -> QueryResult<(Vec<JobRow>, DateTime<Utc>)> {
    let states: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
    let mut query = jobs::table
        .filter(jobs::state.eq_any(states))
        .order(jobs::id.desc())
        .limit(limit)
        .select(JobRow::as_select())
        .into_boxed();
    if let Some(name) = name {
        query = query.filter(jobs::name.eq(name.to_owned()));
    }
    let found = query.load(conn).await?;
    Ok((found, diesel::select(now()).get_result(conn).await?))
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    Yes,
    NotFound,
    /// Not from the state in which it is.
    Refused(String),
    /// Another live job has its unique key.
    KeyTaken,
}

/// Lets a job that is dead or canceled begin again, with all its attempts.
pub async fn retry(conn: &mut AsyncPgConnection, id: Uuid) -> QueryResult<Changed> {
    let ended = [JobState::Dead.as_str(), JobState::Canceled.as_str()];
    let changed = diesel::update(jobs::table.find(id).filter(jobs::state.eq_any(ended)))
        .set((
            jobs::state.eq(JobState::Ready.as_str()),
            jobs::attempts.eq(0),
            jobs::run_at.eq(now()),
            jobs::finished_at.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)
        .await;
    match changed {
        Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => Ok(Changed::KeyTaken),
        changed => verdict(conn, id, changed?).await,
    }
}

/// Ends a job that is dead or waits; it is not tried again.
pub async fn discard(conn: &mut AsyncPgConnection, id: Uuid) -> QueryResult<Changed> {
    let waiting = [JobState::Dead.as_str(), JobState::Ready.as_str(), JobState::Scheduled.as_str()];
    let changed = diesel::update(jobs::table.find(id).filter(jobs::state.eq_any(waiting)))
        .set((jobs::state.eq(JobState::Canceled.as_str()), jobs::finished_at.eq(now().nullable())))
        .execute(conn)
        .await?;
    verdict(conn, id, changed).await
}

async fn verdict(conn: &mut AsyncPgConnection, id: Uuid, changed: usize) -> QueryResult<Changed> {
    if changed == 1 {
        return Ok(Changed::Yes);
    }
    let state: Option<String> = jobs::table.find(id).select(jobs::state).first(conn).await.optional()?;
    Ok(state.map_or(Changed::NotFound, Changed::Refused))
}
