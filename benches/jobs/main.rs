//! How many empty jobs a second: `cargo bench --bench jobs`.
//!
//! All jobs wait when the clock starts, which stops when the last one is off the books. Beside our runner runs
//! graphile-worker, a queue on PostgreSQL that the field knows, with the same number of slots, against the same cluster
//! in the same rounds, as it comes and with its own batching; without Node it is left out, and that is said. Every
//! commit waits for the disk. Ours claims for all free slots at once and writes ends of about the same time together;
//! graphile-worker does neither as it comes, and both when batched. Medians of three rounds. Exits with 1 below the
//! limit: 1,000 a second.
#![recursion_limit = "256"]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark that cannot go on stops, and prints its figures"
)]

#[path = "../shared/mod.rs"]
mod shared;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use loquent::{
    jobs::{Failure, Job, JobHints, Registry, Run, Runner, RunnerSettings},
    platform::{
        clock::Clock,
        ids::new_uuid,
        postgres::{Db, embedded, listen::Hints, pool::PoolSettings, replicas},
        replica::{Identity, Replica},
        tasks::Tasks,
    },
};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

const ROUNDS: usize = 3;
const JOBS: u32 = 20_000;
const SLOTS: usize = 20;
const MIN_PER_SECOND: f64 = 1_000.0;

/// Nothing renews it here.
const LEASE: Duration = Duration::from_secs(3600);

#[derive(Serialize, Deserialize)]
struct Empty {}

impl Job for Empty {
    const NAME: &'static str = "bench.empty";
    const LIMIT: Duration = Duration::from_secs(60);
    type Context = Arc<Semaphore>;

    async fn run(self, done: Arc<Semaphore>, _: Run) -> Result<(), Failure> {
        done.add_permits(1);
        Ok(())
    }
}

#[tokio::main]
async fn main() {
    let home = tempfile::tempdir().unwrap();
    let cluster = shared::database(home.path()).await;
    let peer = Peer::find();
    let (mut ours, mut plain, mut batched) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        ours.push(run(&cluster.url("bench")).await);
        if let Some(peer) = &peer {
            plain.push(peer.run(&cluster, home.path(), &format!("plain_{round}"), "plain").await);
            batched.push(peer.run(&cluster, home.path(), &format!("batched_{round}"), "batched").await);
        }
    }
    cluster.stop().await;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "jobs: {ROUNDS} rounds of {JOBS} empty jobs, {SLOTS} slots, {cores} cores, median (least to most) a second"
    );
    let median = print("loquent", &mut ours);
    match peer {
        Some(_) => {
            print("graphile-worker", &mut plain);
            print("the same, batched", &mut batched);
        }
        None => println!("graphile-worker: SKIPPED, for want of Node"),
    }
    let is_enough = median >= MIN_PER_SECOND;
    println!("at least {MIN_PER_SECOND}: {}", if is_enough { "ok" } else { "TOO FEW" });
    if !is_enough {
        std::process::exit(1);
    }
}

fn print(name: &str, values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let median = values[values.len() / 2];
    println!("{name:<17} {median:.0} ({:.0} to {:.0})", values[0], values[values.len() - 1]);
    median
}

/// Our own queue and runner: jobs a second.
async fn run(url: &str) -> f64 {
    let mut conn = AsyncPgConnection::establish(url).await.unwrap();
    execute(&mut conn, "TRUNCATE jobs").await;
    let fill = format!(
        "INSERT INTO jobs (queue, name, payload, max_attempts) \
         SELECT 'default', '{}', '{{}}', 8 FROM generate_series(1, {JOBS})",
        Empty::NAME
    );
    execute(&mut conn, &fill).await;
    execute(&mut conn, "ANALYZE jobs").await;
    let replica_id = new_uuid(&Clock::default());
    replicas::insert(&mut conn, replica_id, i64::try_from(LEASE.as_millis()).unwrap()).await.unwrap();
    let (_identities, replica) = Replica::new(Identity::new(replica_id));

    let done = Arc::new(Semaphore::new(0));
    let mut registry = Registry::default();
    registry.register::<Empty>(done.clone()).unwrap();
    let pool = PoolSettings { name: "bench", size: SLOTS + 2, wait: Duration::from_secs(10) };
    let (db, tasks, stop) = (Db::try_new(url, pool).unwrap(), Tasks::default(), CancellationToken::new());
    let settings = RunnerSettings { concurrency: SLOTS, account_share: SLOTS, lease: LEASE };
    let started = Instant::now();
    let runner = Runner::start(
        db.clone(),
        &tasks,
        replica,
        registry,
        JobHints::new(Hints::off()),
        settings,
        stop.clone(),
    );
    done.acquire_many(JOBS).await.unwrap().forget();
    while left(&mut conn).await > 0 {}
    let seconds = started.elapsed().as_secs_f64();

    tasks.draining().cancel();
    stop.cancel();
    assert!(tasks.wait(Duration::from_secs(10)).await && runner.running() == 0);
    db.close();
    f64::from(JOBS) / seconds
}

async fn execute(conn: &mut AsyncPgConnection, sql: &str) {
    diesel::sql_query(sql).execute(conn).await.unwrap();
}

async fn left(conn: &mut AsyncPgConnection) -> i64 {
    #[derive(diesel::QueryableByName)]
    struct Left {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        n: i64,
    }
    let left: Left = diesel::sql_query("SELECT count(*) AS n FROM jobs WHERE state <> 'done'")
        .get_result(conn)
        .await
        .unwrap();
    left.n
}

/// graphile-worker, where Node is.
struct Peer {
    directory: PathBuf,
}

impl Peer {
    fn find() -> Option<Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/jobs/peer");
        let is_there = |name| Command::new(name).arg("--version").stdout(Stdio::null()).status().is_ok();
        if !is_there("node") || !is_there("npm") {
            return None;
        }
        let installed =
            Command::new("npm").args(["ci", "--silent"]).current_dir(&directory).status().unwrap();
        installed.success().then_some(Self { directory })
    }

    /// Jobs a second, in a database of its own.
    async fn run(&self, cluster: &embedded::Cluster, home: &Path, database: &str, mode: &str) -> f64 {
        #[derive(Deserialize)]
        struct Answer {
            seconds: f64,
        }
        cluster.ensure_database(database).await.unwrap();
        let output = tokio::process::Command::new("node")
            .args(["run.mjs", &cluster.url(database), &JOBS.to_string(), &SLOTS.to_string(), mode])
            .current_dir(&self.directory)
            .env("HOME", home)
            .stderr(Stdio::inherit())
            .output()
            .await
            .unwrap();
        let answer: Answer = serde_json::from_slice(&output.stdout).expect("the peer prints its figures");
        f64::from(JOBS) / answer.seconds
    }
}
