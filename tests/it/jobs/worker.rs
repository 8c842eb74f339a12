//! Processes that run jobs, to be killed and stopped: the test executable in the role `worker`, with the whole
//! application and kinds of jobs whose effects the test counts.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use diesel_async::RunQueryDsl;
use futures_util::FutureExt;
use loquent::{
    app::App,
    config::SigningKey,
    domains::moderation::AllowsAll,
    error::AppError,
    jobs::{Failure, Job, Registry, Run},
    platform::clock::Clock,
};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

use crate::support::{app::config, cluster::variable, role::Role, rows::execute};

const URL: &str = "LOQUENT_TEST_WORKER_DATABASE";
const COUNTER: &str = "LOQUENT_TEST_WORKER_COUNTER";
const STREAMS: &str = "LOQUENT_TEST_WORKER_STREAMS";
const READY: &str = "READY";

/// Has a permit once the process has said that it is ready.
static IS_READY: Semaphore = Semaphore::const_new(0);

/// Tables that the effects go to. `sequence` is the order in which writes were made.
pub const TABLES: &str = "CREATE TABLE once (n int NOT NULL); \
    CREATE TABLE writes (sequence bigint GENERATED ALWAYS AS IDENTITY, n int NOT NULL, attempt int NOT NULL)";

/// An effect outside, repeated under one key.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outside {
    pub n: i32,
    pub work_ms: u64,
}

/// An effect in the database, in one commit with the end of the job.
#[derive(Debug, Serialize, Deserialize)]
pub struct Once {
    pub n: i32,
    pub work_ms: u64,
}

/// Takes its process down.
#[derive(Debug, Serialize, Deserialize)]
pub struct Poison {}

impl Job for Outside {
    const NAME: &'static str = "tests.outside";
    const MAX_ATTEMPTS: i16 = 100;
    const LIMIT: Duration = Duration::from_secs(20);
    type Context = SocketAddr;

    async fn run(self, counter: SocketAddr, run: Run) -> Result<(), Failure> {
        tokio::time::sleep(Duration::from_millis(self.work_ms)).await;
        report(counter, &run.effect_key("count")).await.map_err(AppError::internal)?;
        let (n, attempt) = (self.n, i32::from(run.attempt()));
        run.transaction(move |conn| {
            async move {
                diesel::sql_query("INSERT INTO writes (n, attempt) VALUES ($1, $2)")
                    .bind::<diesel::sql_types::Integer, _>(n)
                    .bind::<diesel::sql_types::Integer, _>(attempt)
                    .execute(conn)
                    .await?;
                Ok(())
            }
            .boxed()
        })
        .await
    }
}

impl Job for Once {
    const NAME: &'static str = "tests.once";
    const MAX_ATTEMPTS: i16 = 100;
    const LIMIT: Duration = Duration::from_secs(20);
    type Context = ();

    async fn run(self, _: (), run: Run) -> Result<(), Failure> {
        tokio::time::sleep(Duration::from_millis(self.work_ms)).await;
        let n = self.n;
        run.complete(move |conn| {
            async move {
                diesel::sql_query("INSERT INTO once (n) VALUES ($1)")
                    .bind::<diesel::sql_types::Integer, _>(n)
                    .execute(conn)
                    .await?;
                Ok(())
            }
            .boxed()
        })
        .await
    }
}

impl Job for Poison {
    const NAME: &'static str = "tests.poison";
    const MAX_ATTEMPTS: i16 = 3;
    const PRIORITY: i16 = 10;
    const LIMIT: Duration = Duration::from_secs(20);
    type Context = ();

    async fn run(self, _: (), _: Run) -> Result<(), Failure> {
        // Not before the test knows the process.
        let _said = IS_READY.acquire().await;
        std::process::abort()
    }
}

/// Tells the counter of the test and waits until it has counted.
async fn report(counter: SocketAddr, key: &str) -> std::io::Result<()> {
    let mut connection = TcpStream::connect(counter).await?;
    connection.write_all(format!("{key}\n").as_bytes()).await?;
    connection.read_exact(&mut [0; 2]).await.map(drop)
}

/// Role `worker`.
pub async fn work() {
    let counter: SocketAddr = variable(COUNTER).expect("a counter").parse().unwrap();
    let mut registry = Registry::default();
    registry.register::<Outside>(counter).unwrap();
    registry.register::<Once>(()).unwrap();
    registry.register::<Poison>(()).unwrap();
    let streams = variable(STREAMS).unwrap_or_default();
    let settings = format!("[streams]\n{streams}\n[log]\nfilter = \"warn\"");
    let config = config(&settings, "http://127.0.0.1:1/v1");
    let key = SigningKey { kid: "test".to_owned(), secret: "a signing key of the tests, long enough".into() };
    let url = variable(URL).expect("a database");
    let app = App::start(&config, &[key], &url, Clock::default(), registry, None, Arc::new(AllowsAll))
        .await
        .unwrap();
    // What the minute brings would come between the jobs that a test counts.
    execute(&url, "UPDATE cron_entries SET is_enabled = false").await;
    println!("\n{READY} {}", app.generations.replica_id());
    std::io::stdout().flush().unwrap();
    IS_READY.add_permits(1);
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    app.stop(tokio::time::Instant::now() + Duration::from_secs(10)).await;
}

/// A worker; dropping it ends it.
pub struct Worker {
    child: Child,
    /// Its identity at the start.
    pub replica_id: String,
}

impl Worker {
    /// Starts one with a short lease and waits until it runs jobs.
    pub async fn start(url: &str, counter: &Counter) -> Self {
        Self::start_with(url, counter, "lease_ms = 1000").await
    }

    /// With these lines of `[streams]`.
    pub async fn start_with(url: &str, counter: &Counter, streams: &str) -> Self {
        let mut command = Role::Worker.command();
        command.env(URL, url).env(COUNTER, counter.address.to_string()).env(STREAMS, streams);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let said = tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(output).lines().map_while(Result::ok);
            let ready = lines.find_map(|line| Some(line.strip_prefix(READY)?.trim().to_owned()));
            // What comes later is read too, so that it never waits for a full pipe.
            std::thread::spawn(move || lines.for_each(drop));
            ready
        });
        let replica_id = said.await.unwrap().expect("the worker starts");
        Self { child, replica_id }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal).unwrap();
    }

    /// SIGKILL, as a crash would be.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Counts effects: a listener on loopback that reads a key a connection.
pub struct Counter {
    pub address: SocketAddr,
    keys: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

async fn count(listener: TcpListener, keys: Arc<Mutex<Vec<String>>>) {
    let mut connections = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let keys = keys.clone();
        connections.spawn(async move {
            let mut connection = tokio::io::BufReader::new(connection);
            let mut key = String::new();
            // A caller that was killed has perhaps not said all of it: then it has no effect.
            if connection.read_line(&mut key).await.is_ok() && key.ends_with('\n') {
                keys.lock().unwrap().push(key.trim().to_owned());
                let _ = connection.write_all(b"ok").await;
            }
        });
    }
}

impl Counter {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let keys = Arc::new(Mutex::new(Vec::new()));
        let mut serving = JoinSet::new();
        serving.spawn(count(listener, keys.clone()));
        Self { address, keys, _serving: serving }
    }

    /// Effects so far, and how many different ones.
    pub fn counts(&self) -> (usize, usize) {
        let keys = self.keys.lock().unwrap();
        (keys.len(), keys.iter().collect::<std::collections::HashSet<_>>().len())
    }
}
