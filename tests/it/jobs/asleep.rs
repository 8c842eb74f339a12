//! A process that is stopped beyond its lease, in the midst of its jobs, and then continued.

use std::time::Duration;

use loquent::jobs::{Options, enqueue};
use rustix::process::Signal;
use serde_json::json;

use super::worker::{Counter, Outside, TABLES, Worker};
use crate::support::{
    db::TestDb,
    rows::{connect, execute, row, row_when, rows},
};

const JOBS: i32 = 8;
const LIMIT: Duration = Duration::from_secs(60);
/// Long enough that a busy machine does not take it from the process that is awake.
const STREAMS: &str = "lease_ms = 3000";

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_slept_through_its_lease_writes_nothing_and_works_on() {
    let db = TestDb::create().await;
    execute(&db.url, TABLES).await;
    let counter = Counter::start().await;
    let mut conn = connect(&db.url).await;
    let sleeper = Worker::start_with(&db.url, &counter, STREAMS).await;
    // Long enough that they are stopped before their effect, and would make it after the sleep.
    for n in 0..JOBS {
        enqueue(&mut conn, &Outside { n, work_ms: 1_500 }, Options::default()).await.unwrap();
    }
    let all_run = format!("SELECT count(*) AS n FROM jobs WHERE state = 'running' HAVING count(*) = {JOBS}");
    row_when(&db.url, LIMIT, &all_run).await;
    sleeper.signal(Signal::STOP);
    let other = Worker::start_with(&db.url, &counter, STREAMS).await;
    let all_done = format!("SELECT count(*) AS n FROM jobs WHERE state = 'done' HAVING count(*) = {JOBS}");
    row_when(&db.url, LIMIT, &all_done).await;
    assert_eq!(counter.counts().1, usize::try_from(JOBS).unwrap());

    let state = "SELECT jsonb_agg(to_jsonb(j) ORDER BY id) AS jobs, (SELECT count(*) FROM writes) AS writes FROM jobs j";
    let before = row(&db.url, state).await;
    sleeper.signal(Signal::CONT);
    // It finds itself fenced, and begins again.
    let new = format!(
        "SELECT id FROM replicas WHERE started_at > (SELECT max(fenced_at) FROM replicas) AND id <> '{}'",
        other.replica_id
    );
    let new = row_when(&db.url, LIMIT, &new).await["id"].clone();
    assert_ne!(new, json!(sleeper.replica_id));
    // It works on: with the other gone, everything new is its own.
    let pids = [sleeper.pid(), other.pid()];
    other.kill();
    enqueue(&mut conn, &Outside { n: JOBS, work_ms: 0 }, Options::default()).await.unwrap();
    let one_more =
        format!("SELECT count(*) AS n FROM jobs WHERE state = 'done' HAVING count(*) = {}", JOBS + 1);
    row_when(&db.url, LIMIT, &one_more).await;
    let older = format!(
        "SELECT jsonb_agg(to_jsonb(j) ORDER BY id) AS jobs, (SELECT count(*) FROM writes WHERE n < {JOBS}) AS writes \
           FROM jobs j WHERE (payload->>'n')::int < {JOBS}"
    );
    assert_eq!(row(&db.url, &older).await, before, "something was written late");
    let attempts = rows(&mut conn, "SELECT n FROM writes GROUP BY n HAVING count(*) > 1").await;
    assert!(attempts.is_empty(), "{attempts:?}");
    println!("job_sleeper n={JOBS} pids={pids:?} late_writes=0 ok");
}
