//! SIGKILL of processes that run jobs, again and again: every job ends, and has had its effect.

use std::time::{Duration, Instant};

use loquent::jobs::{Job, Options, enqueue};
use rustix::process::Signal;
use serde_json::json;

use super::worker::{Counter, Once, Outside, TABLES, Worker};
use crate::support::{
    cluster::variable,
    db::TestDb,
    feed::Dice,
    rows::{connect, execute, row, row_when, rows},
};

const PROCESSES: usize = 3;
/// Of so many processes that are struck, one is stopped beyond its lease and continued instead of killed.
const STOPPED: usize = 5;
/// From the last kill to the end of every job.
const LIMIT: Duration = Duration::from_secs(60);

/// Jobs, kills, the time between two of them, and how long a job works.
fn size() -> (i32, usize, Duration, u64) {
    match variable("TEST_SCALE").is_some() {
        true => (2_000, 30, Duration::from_secs(1), 350),
        false => (300, 8, Duration::from_millis(500), 300),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_are_killed_and_no_job_is_lost_or_stuck() {
    let mut dice = Dice::throw("job_kills");
    let (jobs, kills, pause, work_ms) = size();
    let db = TestDb::create().await;
    execute(&db.url, TABLES).await;
    let counter = Counter::start().await;
    let mut conn = connect(&db.url).await;
    for n in 0..jobs / 2 {
        enqueue(&mut conn, &Outside { n, work_ms }, Options::default()).await.unwrap();
        enqueue(&mut conn, &Once { n, work_ms }, Options::default()).await.unwrap();
    }
    let starts: Vec<_> = (0..PROCESSES).map(|_| Worker::start(&db.url, &counter)).collect();
    let mut workers = futures_util::future::join_all(starts).await;
    let (mut killed, mut stopped, mut pids) = (0, 0, Vec::new());
    let mut ticks = tokio::time::interval(pause);
    ticks.tick().await;
    while killed < kills {
        // The pace of the test is part of what it claims.
        ticks.tick().await;
        let worker = workers.swap_remove(dice.below(PROCESSES));
        if stopped < kills / STOPPED && dice.below(STOPPED) == 0 {
            stopped += 1;
            worker.signal(Signal::STOP);
            let fenced = format!(
                "SELECT 1 AS one FROM replicas WHERE id = '{}' AND fenced_at IS NOT NULL",
                worker.replica_id
            );
            row_when(&db.url, LIMIT, &fenced).await;
            worker.signal(Signal::CONT);
            workers.push(worker);
            continue;
        }
        pids.push(worker.pid());
        worker.kill();
        killed += 1;
        workers.push(Worker::start(&db.url, &counter).await);
    }
    let last = Instant::now();
    let all_ended = "SELECT 1 AS one WHERE NOT EXISTS (SELECT FROM jobs WHERE state IN ('scheduled', 'ready', 'running'))";
    row_when(&db.url, LIMIT, all_ended).await;
    let slowest = last.elapsed();
    drop(workers);

    // The processes have jobs of the house as well.
    let ours = format!("name IN ('{}', '{}')", Outside::NAME, Once::NAME);
    let states = format!("SELECT state, count(*) AS n FROM jobs WHERE {ours} GROUP BY state");
    let states = rows(&mut conn, &states).await;
    assert_eq!(states, [json!({ "state": "done", "n": jobs })], "lost or dead jobs");
    let (effects, different) = counter.counts();
    assert_eq!(different, usize::try_from(jobs / 2).unwrap(), "an effect is missing");
    let once = row(&db.url, "SELECT count(*) AS n, count(DISTINCT n) AS d FROM once").await;
    assert_eq!((&once["n"], &once["d"]), (&json!(jobs / 2), &json!(jobs / 2)), "not exactly once");
    let late = "SELECT n FROM (SELECT n, attempt, max(attempt) OVER (PARTITION BY n ORDER BY sequence) AS newest FROM writes) w \
                 WHERE attempt < newest";
    assert_eq!(
        rows(&mut conn, late).await,
        Vec::<serde_json::Value>::new(),
        "an older attempt wrote after a newer one"
    );
    let writes = row(&db.url, "SELECT count(DISTINCT n) AS n FROM writes").await;
    assert_eq!(writes["n"], json!(jobs / 2));
    let repeated =
        format!("SELECT count(*) AS n, max(attempts) AS most FROM jobs WHERE attempts > 1 AND {ours}");
    let repeated = row(&db.url, &repeated).await;
    assert!(repeated["n"].as_i64().unwrap() > 0, "no kill hit a job");
    assert_eq!(pids.len(), kills, "processes were killed less often than asked");
    assert!(kills >= 25 || variable("TEST_SCALE").is_none());
    println!(
        "job_kills n={killed} jobs={jobs} stopped={stopped} pids={pids:?} effects={effects} repeated={} most_attempts={} \
         done_after={slowest:?} ok",
        repeated["n"], repeated["most"]
    );
}

/// With the lease as it comes: the jobs of a dead process run in another within 15 s.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_dead_process_run_again_within_the_lease_of_production_and_a_little() {
    const JOBS: i32 = 8;
    const RUN_AGAIN: Duration = Duration::from_secs(15);
    let db = TestDb::create().await;
    execute(&db.url, TABLES).await;
    let counter = Counter::start().await;
    let victim = Worker::start_with(&db.url, &counter, "").await;
    let mut conn = connect(&db.url).await;
    for n in 0..JOBS {
        // Longer than the test looks, and shorter than their limit.
        enqueue(&mut conn, &Outside { n, work_ms: 19_000 }, Options::default()).await.unwrap();
    }
    let run_in = |worker: &Worker| {
        format!(
            "SELECT count(*) AS n, min(fence) AS fence, max(attempts) AS attempts FROM jobs \
              WHERE state = 'running' AND owner_id = '{}' HAVING count(*) = {JOBS}",
            worker.replica_id
        )
    };
    row_when(&db.url, LIMIT, &run_in(&victim)).await;
    let survivor = Worker::start_with(&db.url, &counter, "").await;
    victim.kill();
    let killed = Instant::now();
    let again = row_when(&db.url, LIMIT, &run_in(&survivor)).await;
    let slowest = killed.elapsed();
    assert_eq!(again, json!({ "n": JOBS, "fence": 2, "attempts": 2 }));
    assert!(slowest <= RUN_AGAIN, "the last of them ran again {slowest:?} after the kill");
    println!("job_kill_lease_8s n={JOBS} slowest={slowest:?} ok");
}
