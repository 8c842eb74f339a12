//! A database whose time stands still until the test moves it, and processes that look at it.

use std::{fmt::Write, time::Duration};

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use futures_util::{FutureExt, future::join_all};
use loquent::{
    error::Result,
    jobs::{
        Failure, Job, JobHints, Registry, Run, Runner, RunnerSettings,
        cron::{Declaration, Entry, Scheduler},
    },
    platform::{
        postgres::{Db, listen::Hints, pool::PoolSettings, replicas},
        replica::{Identity, Replica},
        tasks::Tasks,
    },
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{
    db::TestDb,
    rows::{connect, execute, rows},
};

/// Entry and instant of a tick.
pub type Tick = (String, DateTime<Utc>);

/// Time and its effects.
pub struct World {
    pub db: TestDb,
    conn: AsyncPgConnection,
}

impl World {
    /// A world whose database believes that it is `now`.
    pub async fn begin(now: DateTime<Utc>) -> Self {
        let db = TestDb::create().await;
        let sql = format!(
            "CREATE TABLE virtual_time (now timestamptz NOT NULL);
             INSERT INTO virtual_time VALUES ('{now}');
             CREATE OR REPLACE FUNCTION loquent_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE AS
               'SELECT now FROM virtual_time';
             CREATE TABLE effects (name text NOT NULL, tick_at timestamptz NOT NULL)"
        );
        execute(&db.url, &sql).await;
        let conn = connect(&db.url).await;
        Self { db, conn }
    }

    /// Moves the time of all processes.
    pub async fn set(&mut self, now: DateTime<Utc>) {
        use diesel_async::SimpleAsyncConnection;
        self.conn.batch_execute(&format!("UPDATE virtual_time SET now = '{now}'")).await.unwrap();
    }

    /// Entries that wait for a scheduler.
    pub async fn due(&mut self) -> usize {
        let query = "SELECT FROM cron_entries WHERE is_enabled AND next_tick_at <= loquent_now()";
        rows(&mut self.conn, query).await.len()
    }

    /// Name, next tick and whether it is on, of every entry.
    pub async fn entries(&mut self) -> Vec<(String, DateTime<Utc>, bool)> {
        let query = "SELECT name, next_tick_at, is_enabled FROM cron_entries ORDER BY name";
        let found = rows(&mut self.conn, query).await;
        found
            .iter()
            .map(|row| {
                let next = row["next_tick_at"].as_str().unwrap().parse().unwrap();
                (row["name"].as_str().unwrap().to_owned(), next, row["is_enabled"].as_bool().unwrap())
            })
            .collect()
    }

    /// Rows of `table`, in order.
    pub async fn ticks(&mut self, table: &str) -> Vec<Tick> {
        let query = format!("SELECT name, tick_at FROM {table} ORDER BY tick_at, name");
        let found = rows(&mut self.conn, &query).await;
        let tick = |row: &serde_json::Value| {
            (row["name"].as_str().unwrap().to_owned(), row["tick_at"].as_str().unwrap().parse().unwrap())
        };
        found.iter().map(tick).collect()
    }

    /// The ticks that were noted more than a minute after their time, or before it.
    pub async fn noted_late_or_early(&mut self) -> Vec<Tick> {
        self.ticks(
            "(SELECT * FROM cron_ticks WHERE created_at - tick_at NOT BETWEEN '0' AND interval '1 minute') t",
        )
        .await
    }

    /// Lets the time go on, second by second for twenty minutes at most, until every job has had its effect: one that was
    /// taken over waits a moment before it is tried again.
    pub async fn settled(&mut self) {
        use diesel_async::SimpleAsyncConnection;
        let mut polls = tokio::time::interval(Duration::from_millis(50));
        for _ in 0..20 * 60 {
            let live = "SELECT FROM jobs WHERE state IN ('scheduled', 'ready', 'running')";
            if rows(&mut self.conn, live).await.is_empty() {
                return;
            }
            let second = "UPDATE virtual_time SET now = now + interval '1 second'";
            self.conn.batch_execute(second).await.unwrap();
            polls.tick().await;
        }
        panic!("jobs are left");
    }
}

/// What sets a list apart from what was expected, in words.
pub fn difference(found: &[Tick], expected: &[Tick]) -> String {
    let mut words = String::new();
    for tick in expected {
        let count = found.iter().filter(|other| *other == tick).count();
        if count != 1 {
            writeln!(words, "  {} at {} ran {count} times", tick.0, tick.1).unwrap();
        }
    }
    for tick in found.iter().filter(|tick| !expected.contains(tick)) {
        writeln!(words, "  {} at {} ran and should not", tick.0, tick.1).unwrap();
    }
    words
}

/// A tick that leaves a row.
#[derive(Serialize, Deserialize)]
pub struct Record {
    entry: String,
    tick_at: DateTime<Utc>,
}

impl Job for Record {
    const NAME: &'static str = "test.record";
    const LIMIT: Duration = Duration::from_secs(30);
    type Context = ();

    async fn run(self, (): (), run: Run) -> Result<(), Failure> {
        run.complete(move |conn| {
            async move {
                let sql = format!("INSERT INTO effects VALUES ('{}', '{}')", self.entry, self.tick_at);
                diesel_async::RunQueryDsl::execute(diesel::sql_query(sql), conn).await?;
                Ok(())
            }
            .boxed()
        })
        .await
    }
}

/// What a process has for this: a pool, a scheduler, a runner, an identity.
pub struct Process {
    pub scheduler: Scheduler,
    tasks: Tasks,
    stop: CancellationToken,
    db: Db,
}

impl Process {
    pub async fn start(world: &World, declared: &[Declaration]) -> Self {
        Self::start_as(Uuid::now_v7(), &world.db.url, declared).await
    }

    /// With this identity among the replicas.
    pub async fn start_as(id: Uuid, url: &str, declared: &[Declaration]) -> Self {
        let settings = PoolSettings { name: "test", size: 8, wait: Duration::from_secs(10) };
        let db = Db::try_new(url, settings).unwrap();
        let (hints, tasks, stop) = (JobHints::new(Hints::off()), Tasks::default(), CancellationToken::new());
        replicas::insert(&mut db.conn().await.unwrap(), id, 1000).await.unwrap();
        let (_, replica) = Replica::new(Identity::new(id));
        let mut registry = Registry::default();
        registry.register::<Record>(()).unwrap();
        let settings = RunnerSettings { concurrency: 4, account_share: 4, lease: Duration::from_secs(1) };
        Runner::start(db.clone(), &tasks, replica, registry, hints.clone(), settings, stop.clone());
        let entries = declared.iter().map(|declared| recorded(*declared)).collect();
        Self { scheduler: Scheduler::new(db.clone(), hints, entries), tasks, stop, db }
    }

    pub async fn stop(self) {
        self.tasks.draining().cancel();
        self.stop.cancel();
        assert!(self.tasks.wait(Duration::from_secs(5)).await, "something still ran");
        self.db.close();
    }
}

/// An entry whose ticks are recorded.
fn recorded(declared: Declaration) -> Entry {
    Entry::try_new(declared, move |tick_at| Record { entry: declared.name.to_owned(), tick_at }).unwrap()
}

/// All look at once. How many ticks they have enqueued.
pub async fn look(processes: &[Process]) -> usize {
    let looks = processes.iter().map(|process| process.scheduler.look());
    join_all(looks).await.into_iter().map(Result::unwrap).sum()
}
