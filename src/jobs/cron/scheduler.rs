//! Looks every second for what is due. Every process looks, and none leads: whoever locks an entry first enqueues its
//! jobs, notes its ticks and moves it on in one transaction, and the others pass by.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use super::{
    entry::Entry,
    repo::{self, EntryRow},
    schedule::{BadSchedule, CatchUp, Due, Schedule},
};
use crate::{
    error::{AppError, Result},
    jobs::JobHints,
    platform::{metrics::names, postgres::Db, tasks::every},
};

const PACE: Duration = Duration::from_secs(1);
/// A look that takes longer has not heard of the server, and is given up.
const LIMIT: Duration = Duration::from_secs(20);
/// Ticks of an entry that are caught up in one transaction; the next look goes on.
const ROUND: usize = 50;

/// The scheduler of a process.
pub struct Scheduler {
    db: Db,
    hints: JobHints,
    entries: Vec<Arc<Entry>>,
}

impl Scheduler {
    /// `entries` is all that this process looks at.
    pub fn new(db: Db, hints: JobHints, entries: Vec<Entry>) -> Self {
        Self { db, hints, entries: entries.into_iter().map(Arc::new).collect() }
    }

    /// Takes over what the program declares: new entries begin, and changed ones change. The last start decides, also that
    /// of an older version; entries that only others declare are theirs.
    pub async fn declare(&self) -> Result<()> {
        let entries = self.entries.clone();
        self.db.transaction(|conn| async move { declare(conn, &entries).await }.boxed()).await
    }

    /// Looks until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = every(PACE);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            match tokio::time::timeout(LIMIT, self.look()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = error.chain(), "cron could not look; the next second tries again");
                }
                Err(_) => tracing::warn!("cron looked for too long; the next second tries again"),
            }
        }
    }

    /// Does what is due, and returns how many ticks that were. When nothing is, this is one small statement.
    pub async fn look(&self) -> Result<usize> {
        let names = self.names();
        let due = self.db.within(LIMIT, async |conn| Ok(repo::list_due(conn, &names).await?)).await?;
        names::CRON_LATE.set([], due.iter().map(|(_, next, now)| seconds(*now - *next)).fold(0.0, f64::max));
        let mut count = 0;
        for (name, ..) in due {
            let Some(entry) = self.entries.iter().find(|entry| entry.declared.name == name) else { continue };
            let entry = Arc::clone(entry);
            let ticks = self.db.transaction(|conn| async move { run_due(conn, &entry).await }.boxed());
            match ticks.await {
                Ok(ticks) => count += ticks,
                Err(error) => {
                    tracing::error!(error = error.chain(), cron.name = name, "a due entry could not run");
                }
            }
        }
        if count > 0 {
            self.hints.nudge();
        }
        Ok(count)
    }

    fn names(&self) -> Vec<&'static str> {
        self.entries.iter().map(|entry| entry.declared.name).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds are exact for 280,000 years")]
fn seconds(delta: chrono::TimeDelta) -> f64 {
    delta.num_milliseconds() as f64 / 1000.0
}

async fn declare(conn: &mut AsyncPgConnection, entries: &[Arc<Entry>]) -> Result<()> {
    let now = repo::current_time(conn).await?;
    let mut declared = BTreeMap::new();
    for entry in entries {
        declared.insert(entry.declared.name, (entry.row(now).map_err(AppError::internal)?, entry));
    }
    // Sorted by name, as all who lock several do.
    let rows: Vec<_> = declared.values().map(|(row, _)| row).collect();
    repo::insert(conn, &rows).await?;
    let names: Vec<&str> = declared.keys().copied().collect();
    for known in repo::lock(conn, &names).await? {
        let Some((mut wanted, entry)) = declared.remove(&*known.name) else { continue };
        wanted.next_tick_at = taken_over(&known, &wanted, entry, now).map_err(AppError::internal)?;
        wanted.is_enabled = known.is_enabled;
        if known != wanted {
            repo::update(conn, &wanted).await?;
            tracing::warn!(
                cron.name = wanted.name,
                before = known.rule(),
                now = wanted.rule(),
                "the entry ticks now as this program declares it: the last start decides"
            );
        }
    }
    Ok(())
}

/// The tick that an entry waits for as `declared`, after having been `known`.
fn taken_over(
    known: &EntryRow,
    declared: &EntryRow,
    entry: &Entry,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, BadSchedule> {
    if (&known.schedule, &known.time_zone) == (&declared.schedule, &declared.time_zone) {
        return Ok(known.next_tick_at);
    }
    // What the old schedule has missed, the new one catches up from the same time on.
    let missed_from = known.next_tick_at - chrono::TimeDelta::seconds(1);
    entry.schedule.next_after(missed_from.min(now))
}

/// Runs the due ticks of one entry, inside the caller's transaction.
async fn run_due(conn: &mut AsyncPgConnection, entry: &Entry) -> Result<usize> {
    let name = entry.declared.name;
    let Some((row, now)) = repo::lock_due(conn, name).await? else { return Ok(0) };
    let due = due(&row, now).map_err(AppError::internal)?;
    let done = repo::list_ticks(conn, name, &due.ticks).await?;
    let mut count = 0;
    for tick in due.ticks.into_iter().filter(|tick| !done.contains(tick)) {
        if let Some(job_id) = entry.enqueue(conn, tick).await? {
            repo::insert_tick(conn, name, tick, job_id).await?;
            count += 1;
        }
    }
    repo::advance(conn, name, due.next).await?;
    names::CRON_TICKS.add([name.into()], count as u64);
    Ok(count)
}

/// By what the row says: this process may be older than the one that wrote it.
fn due(row: &EntryRow, now: DateTime<Utc>) -> anyhow::Result<Due> {
    let schedule = Schedule::parse(&row.schedule, &row.time_zone)?;
    let Some(rule) = CatchUp::parse(&row.catch_up) else {
        anyhow::bail!("there is no catch-up rule {:?}", row.catch_up);
    };
    Ok(Due::at(now, row.next_tick_at, &schedule, rule, ROUND)?)
}
