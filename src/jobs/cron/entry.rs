//! An entry as the program declares it: when it ticks, and which job a tick enqueues.

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use futures_util::{FutureExt, future::BoxFuture};
use uuid::Uuid;

use super::{
    repo::EntryRow,
    schedule::{BadSchedule, CatchUp, Schedule},
};
use crate::{
    error::Result,
    jobs::{self, Job, Options},
};

/// When an entry ticks.
#[derive(Debug, Clone, Copy)]
pub struct Declaration {
    /// Unique and for ever: by its name an entry is known to the database. Two entries may have the same job.
    pub name: &'static str,
    /// Minute, hour, day of month, month, day of week.
    pub schedule: &'static str,
    /// Of the IANA database, such as `UTC` or `Europe/Berlin`.
    pub zone: &'static str,
    pub catch_up: CatchUp,
}

type Enqueue = dyn for<'c> Fn(&'c mut AsyncPgConnection, DateTime<Utc>, Options) -> BoxFuture<'c, Result<Option<Uuid>>>
    + Send
    + Sync;

/// A declared entry with its job.
pub struct Entry {
    pub(super) declared: Declaration,
    pub(super) schedule: Schedule,
    enqueue: Box<Enqueue>,
}

impl Entry {
    /// `job` makes the job of a tick from the instant the tick stands for, which may be long over.
    ///
    /// # Errors
    /// Those of [`Schedule::parse`].
    pub fn try_new<J: Job>(
        declared: Declaration,
        job: impl Fn(DateTime<Utc>) -> J + Send + Sync + 'static,
    ) -> Result<Self, BadSchedule> {
        let schedule = Schedule::parse(declared.schedule, declared.zone)?;
        let enqueue: Box<Enqueue> = Box::new(move |conn, tick, options| {
            let job = job(tick);
            async move { jobs::enqueue(conn, &job, options).await }.boxed()
        });
        Ok(Self { declared, schedule, enqueue })
    }

    /// As a row that begins at `now`.
    pub(super) fn row(&self, now: DateTime<Utc>) -> Result<EntryRow, BadSchedule> {
        let declared = &self.declared;
        Ok(EntryRow {
            name: declared.name.to_owned(),
            schedule: declared.schedule.to_owned(),
            time_zone: declared.zone.to_owned(),
            catch_up: declared.catch_up.as_str().to_owned(),
            next_tick_at: self.schedule.next_after(now)?,
            is_enabled: true,
        })
    }

    /// Enqueues the job of a tick. `None` when it lives already.
    pub(super) async fn enqueue(
        &self,
        conn: &mut AsyncPgConnection,
        tick: DateTime<Utc>,
    ) -> Result<Option<Uuid>> {
        let key = format!("cron:{}:{}", self.declared.name, tick.format("%Y-%m-%dT%H:%M:%SZ"));
        (self.enqueue)(conn, tick, Options { unique_key: Some(key), ..Options::default() }).await
    }
}
