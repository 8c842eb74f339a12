//! What an attempt cannot do any more once the job is somebody else's.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use loquent::jobs::Options;
use serde_json::json;

use super::stage::{Act, Stage};
use crate::support::rows::{connect, execute, row_when};

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_an_older_claim_is_refused_and_its_end_too() {
    let stage = Stage::open_with("[jobs]\nconcurrency = 2").await;
    let id = stage.enqueue("late", Act::WriteLate, Options::default()).await.unwrap();
    stage.next().await;
    // As if another claim had come in between.
    execute(&stage.app.db.url, "UPDATE jobs SET fence = fence + 1").await;
    stage.exits.add_permits(1);
    assert_eq!(stage.late.lock().await.recv().await, Some(false));
    assert_eq!(stage.effects().await, 0);
    let job = stage.job_when(id, "running").await;
    assert_eq!((&job["fence"], &job["attempts"]), (&json!(2), &json!(1)));
    // With its own fence it may.
    stage.enqueue("in time", Act::WriteLate, Options::default()).await;
    stage.next().await;
    stage.exits.add_permits(1);
    assert_eq!(stage.late.lock().await.recv().await, Some(true));
    assert_eq!(stage.effects().await, 1);
    execute(&stage.app.db.url, "UPDATE jobs SET state = 'canceled', owner_id = NULL, finished_at = loquent_now() WHERE state = 'running'").await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_returns_late_does_not_end_the_job_of_another_claim() {
    let stage = Stage::open_with("[jobs]\nconcurrency = 1").await;
    let id = stage.enqueue("late", Act::Wait, Options::default()).await.unwrap();
    stage.next().await;
    execute(&stage.app.db.url, "UPDATE jobs SET fence = fence + 1").await;
    stage.exits.add_permits(1);
    // The slot is free once the end was refused.
    stage.enqueue("next", Act::Return, Options::default()).await;
    assert_eq!(stage.next().await.name, "next");
    assert_eq!(stage.job_when(id, "running").await["fence"], 2);
    let undo = "UPDATE jobs SET state = 'ready', owner_id = NULL WHERE state = 'running'";
    execute(&stage.app.db.url, undo).await;
    stage.exits.add_permits(1);
    stage.job_when(id, "done").await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_under_a_lease_that_is_lost_is_refused_before_anybody_takes_over() {
    let stage = Stage::open().await;
    stage.enqueue("late", Act::WriteLate, Options::default()).await;
    stage.next().await;
    // The stream log stands still, so the process does not learn of its fence.
    let mut blocker = connect(&stage.app.db.url).await;
    blocker.batch_execute("BEGIN; LOCK TABLE stream_events").await.unwrap();
    execute(&stage.app.db.url, "UPDATE replicas SET fenced_at = loquent_now()").await;
    stage.exits.add_permits(1);
    assert_eq!(stage.late.lock().await.recv().await, Some(false));
    assert_eq!(stage.effects().await, 0);
    blocker.batch_execute("COMMIT").await.unwrap();
    // It is taken over and runs to its end.
    row_when(
        &stage.app.db.url,
        Duration::from_secs(20),
        "SELECT 1 AS one FROM jobs WHERE state = 'scheduled'",
    )
    .await;
    stage.hasten().await;
    assert_eq!(stage.next().await.attempt, 2);
    stage.exits.add_permits(1);
    assert_eq!(stage.late.lock().await.recv().await, Some(true));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_process_drops_its_jobs_and_works_on_under_a_new_identity() {
    let stage = Stage::open_with("[streams]\nlease_ms = 1000").await;
    let id = stage.enqueue("dropped", Act::Wait, Options::default()).await.unwrap();
    stage.next().await;
    let old = stage.job_when(id, "running").await["owner_id"].clone();
    execute(&stage.app.db.url, "UPDATE replicas SET fenced_at = loquent_now()").await;
    let job = stage.job_when(id, "scheduled").await;
    assert_eq!((&job["attempts"], &job["fence"]), (&json!(1), &json!(1)));
    stage.hasten().await;
    assert_eq!(stage.next().await.attempt, 2);
    let new = stage.job_when(id, "running").await["owner_id"].clone();
    assert_ne!(old, new);
    // One exit for the second attempt; the first is not waiting for one any more.
    stage.exits.add_permits(1);
    stage.job_when(id, "done").await;
    assert_eq!(stage.exits.available_permits(), 0);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stops_gives_back_what_it_cannot_finish() {
    let mut stage = Stage::open().await;
    let finished = stage.enqueue("finishes", Act::Wait, Options::default()).await.unwrap();
    stage.next().await;
    let given_back = stage.enqueue("does not", Act::Forever, Options::default()).await.unwrap();
    stage.next().await;
    stage.exits.add_permits(1);
    stage.job_when(finished, "done").await;
    stage.app.stop(Duration::from_millis(100)).await;
    let job = stage.job_when(given_back, "ready").await;
    assert_eq!((&job["attempts"], &job["fence"], &job["reason"]), (&json!(0), &json!(1), &json!(null)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_answer_was_lost_is_given_back() {
    let stage = Stage::open_with("[streams]\nlease_ms = 1000").await;
    stage
        .app
        .db
        .fill_jobs(
            r#"SELECT 'default', 'tests.play', '{"name": "found", "act": "Return"}', 'running', id, 1::smallint, 3::smallint
                 FROM replicas"#,
        )
        .await;
    execute(&stage.app.db.url, "UPDATE jobs SET claimed_at = loquent_now() - interval '11 seconds'").await;
    assert_eq!(stage.next().await.attempt, 1);
    stage.close().await;
}
