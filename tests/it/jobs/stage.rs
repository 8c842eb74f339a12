//! A kind of job that does what its payload says, and the test that watches it.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use loquent::{
    error::{AppError, ErrorCode, Result},
    jobs::{Failure, Job, Options, Registry, Run, enqueue},
    platform::request,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Mutex, Semaphore, mpsc};
use uuid::Uuid;

use crate::support::{
    app::{Builder, TestApp},
    db::TestDb,
    proxy::Proxy,
    rows::{connect, execute, row, row_when},
};

/// What an attempt does after it has said that it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    Return,
    /// Returns once the test lets one go.
    Wait,
    Fail,
    /// Fails and asks for a pause of so many seconds.
    RetryAfter(u64),
    Never,
    Panic,
    /// Writes an effect and the end in one commit, and then fails.
    Complete,
    /// Enqueues another job, which returns.
    Enqueue,
    /// Ends only at its deadline.
    Forever,
    /// Waits, and then writes what it may not write any more.
    WriteLate,
}

/// The job.
#[derive(Debug, Serialize, Deserialize)]
pub struct Play {
    pub name: String,
    pub act: Act,
}

/// One attempt, as it began.
#[derive(Debug)]
pub struct Begun {
    pub name: String,
    pub attempt: i16,
    pub job_id: Uuid,
    pub effect_key: String,
    pub request_id: Option<String>,
}

/// What the handler works with.
#[derive(Clone)]
pub struct Backstage {
    begun: mpsc::Sender<Begun>,
    exits: Arc<Semaphore>,
    /// What became of writes that came late.
    late: mpsc::Sender<bool>,
}

impl Job for Play {
    const NAME: &'static str = "tests.play";
    const MAX_ATTEMPTS: i16 = 3;
    const LIMIT: Duration = Duration::from_secs(2);
    type Context = Backstage;

    async fn run(self, stage: Backstage, run: Run) -> Result<(), Failure> {
        let begun = Begun {
            name: self.name.clone(),
            attempt: run.attempt(),
            job_id: run.job_id(),
            effect_key: run.effect_key("first"),
            request_id: request::current().map(|id| id.to_string()),
        };
        stage.begun.send(begun).await.unwrap();
        let broken = || AppError::new(ErrorCode::ProviderUnavailable, "The stage is broken.");
        let name = self.name;
        match self.act {
            Act::Return => Ok(()),
            Act::Wait => {
                stage.exits.acquire().await.unwrap().forget();
                Ok(())
            }
            Act::Fail => Err(broken().into()),
            Act::RetryAfter(seconds) => Err(Failure::retry_after(broken(), Duration::from_secs(seconds))),
            Act::Never => Err(Failure::never(broken())),
            Act::Panic => panic!("the actor falls"),
            Act::Complete => {
                run.complete(|conn| async move { note(conn, name).await }.boxed()).await?;
                Err(broken().into())
            }
            Act::Enqueue => {
                run.complete(|conn| {
                    async move {
                        let next = Play { name: "by a job".to_owned(), act: Act::Return };
                        enqueue(conn, &next, Options::default()).await.map(drop)
                    }
                    .boxed()
                })
                .await
            }
            Act::Forever => std::future::pending().await,
            Act::WriteLate => {
                stage.exits.acquire().await.unwrap().forget();
                let written = run.transaction(|conn| async move { note(conn, name).await }.boxed()).await;
                stage.late.send(written.is_ok()).await.unwrap();
                written
            }
        }
    }
}

/// An effect, as a row.
pub async fn note(conn: &mut AsyncPgConnection, name: String) -> Result<()> {
    diesel::sql_query("INSERT INTO effects (name) VALUES ($1)")
        .bind::<diesel::sql_types::Text, _>(name)
        .execute(conn)
        .await?;
    Ok(())
}

/// The test's side.
pub struct Stage {
    pub app: TestApp,
    begun: Mutex<mpsc::Receiver<Begun>>,
    pub exits: Arc<Semaphore>,
    pub late: Mutex<mpsc::Receiver<bool>>,
}

impl Stage {
    pub async fn open() -> Self {
        Self::open_with("").await
    }

    /// With lines of the configuration file.
    pub async fn open_with(settings: &str) -> Self {
        Self::build(TestApp::builder().settings(settings), TestDb::create().await).await
    }

    /// With the database behind a proxy.
    pub async fn open_through(proxy: &Proxy, db: TestDb) -> Self {
        Self::build(TestApp::builder().database_through(|_| proxy.url().to_owned(), &db), db).await
    }

    async fn build(builder: Builder, db: TestDb) -> Self {
        let (begun, events) = mpsc::channel(10_000);
        let (late, verdicts) = mpsc::channel(100);
        let exits = Arc::new(Semaphore::new(0));
        let mut registry = Registry::default();
        registry.register::<Play>(Backstage { begun, exits: exits.clone(), late }).unwrap();
        let app = builder.jobs(registry).start_over(db).await;
        execute(&app.db.url, "CREATE TABLE effects (name text NOT NULL)").await;
        Self { app, begun: Mutex::new(events), exits, late: Mutex::new(verdicts) }
    }

    /// Enqueues a job; `None` when its key is taken.
    pub async fn enqueue(&self, name: &str, act: Act, options: Options) -> Option<Uuid> {
        let mut conn = connect(&self.app.db.url).await;
        let id = enqueue(&mut conn, &Play { name: name.to_owned(), act }, options).await.unwrap();
        self.app.app.job_hints.nudge();
        id
    }

    /// The next attempt that begins.
    pub async fn next(&self) -> Begun {
        let mut begun = self.begun.lock().await;
        tokio::time::timeout(Duration::from_secs(20), begun.recv()).await.expect("an attempt begins").unwrap()
    }

    /// True when no attempt has begun since the last one that was looked at.
    pub async fn is_quiet(&self) -> bool {
        self.begun.lock().await.try_recv().is_err()
    }

    /// Waits until the job is in this state.
    pub async fn job_when(&self, id: Uuid, state: &str) -> Value {
        let query = format!("SELECT * FROM jobs WHERE id = '{id}' AND state = '{state}'");
        row_when(&self.app.db.url, Duration::from_secs(20), &query).await
    }

    pub async fn effects(&self) -> i64 {
        row(&self.app.db.url, "SELECT count(*) AS n FROM effects").await["n"].as_i64().unwrap()
    }

    /// Ends the pause before the next attempt of whatever has failed.
    pub async fn hasten(&self) {
        execute(&self.app.db.url, "UPDATE jobs SET run_at = loquent_now() WHERE state = 'scheduled'").await;
    }

    /// Moves the time of the database so far from the real one.
    pub async fn advance(&self, by: &str) {
        let sql = format!(
            "CREATE OR REPLACE FUNCTION loquent_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE AS \
             $$SELECT clock_timestamp() + interval '{by}'$$"
        );
        execute(&self.app.db.url, &sql).await;
    }

    /// The time of the database.
    pub async fn now(&self) -> DateTime<Utc> {
        let now = row(&self.app.db.url, "SELECT loquent_now() AS now").await["now"].clone();
        serde_json::from_value(now).unwrap()
    }

    pub async fn close(self) {
        self.app.close().await;
    }
}
