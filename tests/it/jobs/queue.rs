//! From the transaction that enqueues a job to the end of its only attempt.

use diesel_async::AsyncConnection;
use loquent::{
    error::{AppError, ErrorCode},
    jobs::{Options, enqueue},
};
use serde_json::json;

use super::stage::{Act, Play, Stage};
use crate::support::rows::{connect, row};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_once_and_is_done() {
    let stage = Stage::open().await;
    let id = stage.enqueue("simple", Act::Return, Options::default()).await.unwrap();
    let begun = stage.next().await;
    assert_eq!((begun.name.as_str(), begun.attempt, begun.job_id), ("simple", 1, id));
    let job = stage.job_when(id, "done").await;
    assert_eq!((&job["attempts"], &job["fence"], &job["reason"]), (&json!(1), &json!(1), &json!(null)));
    assert!(job["owner_id"].is_null() && !job["finished_at"].is_null(), "{job}");
    assert!(stage.is_quiet().await);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_there_exactly_when_its_transaction_is() {
    let stage = Stage::open().await;
    let mut conn = connect(&stage.app.db.url).await;
    let job = Play { name: "undone".to_owned(), act: Act::Return };
    let undone = conn
        .transaction(async |conn| {
            enqueue(conn, &job, Options::default()).await?;
            Err::<(), _>(AppError::new(ErrorCode::Internal, "no"))
        })
        .await;
    assert!(undone.is_err());
    assert_eq!(row(&stage.app.db.url, "SELECT count(*) AS n FROM jobs").await["n"], 0);
    stage.enqueue("next", Act::Return, Options::default()).await;
    assert_eq!(stage.next().await.name, "next");
    stage.close().await;
}
