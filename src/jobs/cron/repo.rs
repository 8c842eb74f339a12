//! Rows of cron. Nothing of it belongs to an account.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    platform::postgres::now,
    schema::{cron_entries, cron_ticks, jobs},
};

/// How long it is known that a tick has run.
const KEPT: TimeDelta = TimeDelta::days(30);

/// An entry as the database has it; this is what counts.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = cron_entries)]
pub struct EntryRow {
    pub name: String,
    pub schedule: String,
    pub time_zone: String,
    pub catch_up: String,
    pub next_tick_at: DateTime<Utc>,
    /// False when an operator has switched it off in the table; no start of a process changes that.
    pub is_enabled: bool,
}

impl EntryRow {
    /// When it ticks, in one line for the log.
    pub(super) fn rule(&self) -> String {
        format!("{} {} {}", self.schedule, self.time_zone, self.catch_up)
    }
}

/// The database's now.
pub async fn current_time(conn: &mut AsyncPgConnection) -> QueryResult<DateTime<Utc>> {
    diesel::select(now()).get_result(conn).await
}

/// Those of the named entries that are due, with the time each waits for, and the database's now.
pub async fn list_due(
    conn: &mut AsyncPgConnection,
    names: &[&str],
) -> QueryResult<Vec<(String, DateTime<Utc>, DateTime<Utc>)>> {
    cron_entries::table
        .filter(cron_entries::is_enabled)
        .filter(cron_entries::next_tick_at.le(now()))
        .filter(cron_entries::name.eq_any(names))
        .order(cron_entries::next_tick_at)
        .select((cron_entries::name, cron_entries::next_tick_at, now()))
        .load(conn)
        .await
}

/// Takes an entry that is still due, with the database's now. `None` when another process has it or was faster.
pub async fn lock_due(
    conn: &mut AsyncPgConnection,
    name: &str,
) -> QueryResult<Option<(EntryRow, DateTime<Utc>)>> {
    cron_entries::table
        .find(name)
        .filter(cron_entries::is_enabled)
        .filter(cron_entries::next_tick_at.le(now()))
        .select((EntryRow::as_select(), now()))
        .for_no_key_update()
        .skip_locked()
        .first(conn)
        .await
        .optional()
}

/// Takes the named entries, by name, waiting for who has them.
pub async fn lock(conn: &mut AsyncPgConnection, names: &[&str]) -> QueryResult<Vec<EntryRow>> {
    cron_entries::table
        .filter(cron_entries::name.eq_any(names))
        .order(cron_entries::name)
        .select(EntryRow::as_select())
        .for_no_key_update()
        .load(conn)
        .await
}

/// Adds those of the entries whose names are new.
pub async fn insert(conn: &mut AsyncPgConnection, rows: &[&EntryRow]) -> QueryResult<()> {
    diesel::insert_into(cron_entries::table)
        .values(rows.to_vec())
        .on_conflict_do_nothing()
        .execute(conn)
        .await
        .map(drop)
}

/// Writes when the entry ticks.
pub async fn update(conn: &mut AsyncPgConnection, row: &EntryRow) -> QueryResult<()> {
    diesel::update(cron_entries::table.find(&row.name))
        .set((
            cron_entries::schedule.eq(&row.schedule),
            cron_entries::time_zone.eq(&row.time_zone),
            cron_entries::catch_up.eq(&row.catch_up),
            cron_entries::next_tick_at.eq(row.next_tick_at),
        ))
        .execute(conn)
        .await
        .map(drop)
}

/// Which of these ticks have run.
pub async fn list_ticks(
    conn: &mut AsyncPgConnection,
    name: &str,
    ticks: &[DateTime<Utc>],
) -> QueryResult<Vec<DateTime<Utc>>> {
    cron_ticks::table
        .filter(cron_ticks::name.eq(name))
        .filter(cron_ticks::tick_at.eq_any(ticks))
        .select(cron_ticks::tick_at)
        .load(conn)
        .await
}

/// Notes that a tick has its job.
pub async fn insert_tick(
    conn: &mut AsyncPgConnection,
    name: &str,
    tick: DateTime<Utc>,
    job_id: Uuid,
) -> QueryResult<()> {
    diesel::insert_into(cron_ticks::table)
        .values((cron_ticks::name.eq(name), cron_ticks::tick_at.eq(tick), cron_ticks::job_id.eq(job_id)))
        .execute(conn)
        .await
        .map(drop)
}

/// Says which tick an entry waits for now.
pub async fn advance(conn: &mut AsyncPgConnection, name: &str, next: DateTime<Utc>) -> QueryResult<()> {
    diesel::update(cron_entries::table.find(name))
        .set(cron_entries::next_tick_at.eq(next))
        .execute(conn)
        .await
        .map(drop)
}

/// The newest tick of each entry that has one, with its job.
async fn list_last_ticks(conn: &mut AsyncPgConnection) -> QueryResult<Vec<(String, DateTime<Utc>, Uuid)>> {
    cron_ticks::table
        .distinct_on(cron_ticks::name)
        .order((cron_ticks::name, cron_ticks::tick_at.desc()))
        .select((cron_ticks::name, cron_ticks::tick_at, cron_ticks::job_id))
        .load(conn)
        .await
}

/// An entry as an operator sees it.
#[derive(Debug, Clone)]
pub struct Listed {
    pub entry: EntryRow,
    pub last: Option<LastTick>,
}

/// The newest tick of an entry.
#[derive(Debug, Clone)]
pub struct LastTick {
    pub at: DateTime<Utc>,
    /// State of its job, and why the last attempt failed. `None` when the job was removed since.
    pub job: Option<(String, Option<String>)>,
}

/// All entries by name, with what became of their newest ticks.
pub async fn list(conn: &mut AsyncPgConnection) -> QueryResult<Vec<Listed>> {
    let entries: Vec<EntryRow> =
        cron_entries::table.order(cron_entries::name).select(EntryRow::as_select()).load(conn).await?;
    let ticks = list_last_ticks(conn).await?;
    let known: Vec<(Uuid, String, Option<String>)> = jobs::table
        .filter(jobs::id.eq_any(ticks.iter().map(|(_, _, job_id)| *job_id)))
        .select((jobs::id, jobs::state, jobs::reason))
        .load(conn)
        .await?;
    let mut jobs: HashMap<_, _> =
        known.into_iter().map(|(id, state, reason)| (id, (state, reason))).collect();
    let mut last: HashMap<_, _> =
        ticks.into_iter().map(|(name, at, id)| (name, LastTick { at, job: jobs.remove(&id) })).collect();
    Ok(entries.into_iter().map(|entry| Listed { last: last.remove(&entry.name), entry }).collect())
}

/// Removes the ticks of more than 30 days ago; the newest of an entry stays, however old. A statement takes what one entry
/// did in the time since the last round.
pub async fn prune_ticks(conn: &mut AsyncPgConnection) -> QueryResult<usize> {
    let now = current_time(conn).await?;
    let mut removed = 0;
    for (name, newest, _) in list_last_ticks(conn).await? {
        let ticks = cron_ticks::table.filter(cron_ticks::name.eq(name));
        let old = ticks.filter(cron_ticks::tick_at.lt(newest.min(now - KEPT)));
        removed += diesel::delete(old).execute(conn).await?;
    }
    Ok(removed)
}
