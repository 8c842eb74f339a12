//! A job that takes its process down.

use std::time::Duration;

use loquent::jobs::{Options, enqueue};
use serde_json::json;

use super::worker::{Counter, Once, Poison, TABLES, Worker};
use crate::support::{
    db::TestDb,
    processes::eventually,
    rows::{connect, execute, row, row_when},
};

const JOBS: i32 = 50;
const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_aborts_its_process_is_dead_in_the_end_and_harms_no_other() {
    let db = TestDb::create().await;
    execute(&db.url, TABLES).await;
    let counter = Counter::start().await;
    let mut conn = connect(&db.url).await;
    for n in 0..JOBS {
        enqueue(&mut conn, &Once { n, work_ms: 20 }, Options::default()).await.unwrap();
    }
    let poison = enqueue(&mut conn, &Poison {}, Options::default()).await.unwrap().unwrap();
    let mut crashes = 0;
    let dead = format!("SELECT * FROM jobs WHERE id = '{poison}' AND state = 'dead'");
    // It comes first wherever it is claimed; each process that does is gone with it.
    while crashes < 3 {
        let mut worker = Worker::start(&db.url, &counter).await;
        execute(
            &db.url,
            &format!("UPDATE jobs SET run_at = loquent_now() WHERE id = '{poison}' AND state = 'scheduled'"),
        )
        .await;
        assert!(eventually(LIMIT, || worker.has_ended()).await, "nobody took the poison");
        crashes += 1;
    }
    let survivor = Worker::start(&db.url, &counter).await;
    let job = row_when(&db.url, LIMIT, &dead).await;
    assert_eq!((&job["attempts"], &job["fence"]), (&json!(3), &json!(3)));
    assert_eq!(job["reason"], "The process that ran it came to an end.");
    let all_done = format!("SELECT count(*) AS n FROM jobs WHERE state = 'done' HAVING count(*) = {JOBS}");
    row_when(&db.url, LIMIT, &all_done).await;
    assert_eq!(row(&db.url, "SELECT count(*) AS n FROM once").await["n"], json!(JOBS));
    println!("job_poison n={crashes} jobs={JOBS} survivor={} ok", survivor.pid());
}
