//! From the transaction that enqueues a job to the end of its only attempt.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use futures_util::FutureExt;
use loquent::{
    error::{AppError, ErrorCode, Result},
    jobs::{Options, enqueue, prune},
    platform::{
        metrics,
        postgres::{Db, pool::PoolSettings},
        request,
    },
};
use serde_json::json;

use super::stage::{Act, Play, Stage, note};
use crate::support::{
    processes::eventually,
    rows::{connect, row},
};

const FAR: DateTime<Utc> = DateTime::from_timestamp(4_000_000_000, 0).unwrap();

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

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_key_lets_one_live_job_in() {
    let stage = Stage::open().await;
    let key = || Options { unique_key: Some("only-one".to_owned()), ..Options::default() };
    let first = stage.enqueue("first", Act::Wait, key()).await.unwrap();
    assert_eq!(stage.enqueue("waiting twin", Act::Return, key()).await, None);
    stage.next().await;
    assert_eq!(stage.enqueue("twin of what runs", Act::Return, key()).await, None);
    stage.exits.add_permits(1);
    stage.job_when(first, "done").await;
    assert!(stage.enqueue("second", Act::Return, key()).await.is_some());
    assert_eq!(stage.next().await.name, "second");

    // Of many at once exactly one gets in.
    let twins = (0..20).map(|_| {
        stage.enqueue(
            "twin",
            Act::Return,
            Options { unique_key: Some("race".to_owned()), run_at: Some(FAR), ..Options::default() },
        )
    });
    let entered = futures_util::future::join_all(twins).await;
    assert_eq!(entered.iter().flatten().count(), 1);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_urgent_goes_first_and_of_equals_the_oldest() {
    let stage = Stage::open_with("[jobs]\nconcurrency = 1").await;
    stage.enqueue("occupies the slot", Act::Wait, Options::default()).await;
    stage.next().await;
    for (name, priority) in [("late", Some(200)), ("usual 1", None), ("usual 2", None), ("urgent", Some(-5))]
    {
        stage.enqueue(name, Act::Return, Options { priority, ..Options::default() }).await;
    }
    stage.exits.add_permits(1);
    for name in ["urgent", "usual 1", "usual 2", "late"] {
        assert_eq!(stage.next().await.name, name);
    }
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_its_time() {
    let stage = Stage::open().await;
    let run_at = Some(stage.now().await + TimeDelta::hours(1));
    let id = stage.enqueue("later", Act::Return, Options { run_at, ..Options::default() }).await.unwrap();
    // Whoever makes this one ready has looked at the other too.
    let run_at = Some(stage.now().await + TimeDelta::milliseconds(100));
    stage.enqueue("soon", Act::Return, Options { run_at, ..Options::default() }).await;
    assert_eq!(stage.next().await.name, "soon");
    stage.job_when(id, "scheduled").await;
    stage.advance("1 hour").await;
    assert_eq!(stage.next().await.name, "later");
    stage.job_when(id, "done").await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_and_the_jobs_it_enqueues_carry_the_id_of_the_request() {
    let stage = Stage::open().await;
    let tasks = stage.app.app.tasks.clone();
    let url = stage.app.db.url.clone();
    let asked = request::on_behalf(Some("req-77".into()), async {
        // A mutation works in a task that outlives its request.
        let work = async move {
            let job = Play { name: "asked for".to_owned(), act: Act::Enqueue };
            enqueue(&mut connect(&url).await, &job, Options::default()).await
        };
        tasks.run(work).await.unwrap()
    });
    asked.await.unwrap();
    for name in ["asked for", "by a job"] {
        let begun = stage.next().await;
        assert_eq!((begun.name.as_str(), begun.request_id.as_deref()), (name, Some("req-77")));
    }
    stage.enqueue("of nobody", Act::Return, Options::default()).await;
    assert_eq!(stage.next().await.request_id, None);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_leaves_all_or_nothing() {
    let stage = Stage::open().await;
    let (tasks, db) = (stage.app.app.tasks.clone(), stage.app.db.url.clone());
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let mut blocker = connect(&db).await;
    blocker.batch_execute("BEGIN; LOCK TABLE effects").await.unwrap();
    let url = db.clone();
    let work = async move {
        let mut conn = connect(&url).await;
        let job = Play { name: "kept".to_owned(), act: Act::Return };
        conn.transaction(async |conn| {
            enqueue(conn, &job, Options::default()).await?;
            begun.send(()).unwrap();
            // Waits here while the client goes away.
            note(conn, "effect".to_owned()).await
        })
        .await
    };
    let mut request = Box::pin(tasks.run(work));
    tokio::select! {
        result = &mut request => panic!("it does not wait: {result:?}"),
        begun = has_begun => begun.unwrap(),
    }
    drop(request);
    assert_eq!(row(&db, "SELECT count(*) AS n FROM jobs").await["n"], 0);
    blocker.batch_execute("COMMIT").await.unwrap();
    assert_eq!(stage.next().await.name, "kept");
    assert_eq!(stage.effects().await, 1);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_cut_leaves_no_lock() {
    let stage = Stage::open().await;
    let settings = PoolSettings { name: "test", size: 1, wait: Duration::from_secs(5) };
    let db = Db::try_new(&stage.app.db.url, settings).unwrap();
    let (locked, has_locked) = tokio::sync::oneshot::channel();
    let mut cut = Box::pin(db.transaction(move |conn| {
        async move {
            conn.batch_execute("LOCK TABLE effects").await?;
            locked.send(()).unwrap();
            std::future::pending::<Result<()>>().await
        }
        .boxed()
    }));
    tokio::select! {
        result = &mut cut => panic!("it does not wait: {result:?}"),
        locked = has_locked => locked.unwrap(),
    }
    drop(cut);
    // Nobody borrows the connection again, which would end its transaction too.
    let mut other = connect(&stage.app.db.url).await;
    other.batch_execute("SET lock_timeout = '5s'").await.unwrap();
    note(&mut other, "free".to_owned()).await.unwrap();
    drop(other);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn done_jobs_are_kept_for_a_week_and_dead_ones_until_somebody_decides() {
    let stage = Stage::open().await;
    let done = stage.enqueue("done", Act::Return, Options::default()).await.unwrap();
    let dead = stage.enqueue("dead", Act::Never, Options::default()).await.unwrap();
    stage.job_when(done, "done").await;
    stage.job_when(dead, "dead").await;
    let mut conn = connect(&stage.app.db.url).await;
    stage.advance("167 hours").await;
    assert_eq!(prune(&mut conn, 10).await.unwrap(), 0);
    stage.advance("169 hours").await;
    assert_eq!(prune(&mut conn, 10).await.unwrap(), 1);
    stage.job_when(dead, "dead").await;
    drop(conn);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_counted_by_queue_and_by_name() {
    let stage = Stage::open().await;
    let id = stage.enqueue("dies", Act::Never, Options::default()).await.unwrap();
    stage.job_when(id, "dead").await;
    let attempts = "loquent_job_attempts_total{name=\"tests.play\",outcome=\"dead\"}";
    let is_counted = eventually(Duration::from_secs(5), || metrics::render().contains(attempts)).await;
    let text = metrics::render();
    assert!(is_counted, "{text}");
    for name in [
        "loquent_job_duration_seconds_count{name=\"tests.play\"}",
        "loquent_jobs{queue=\"default\",state=\"running\"}",
        "loquent_jobs_oldest_ready_seconds{queue=\"default\"}",
    ] {
        assert!(text.contains(name), "{name} in {text}");
    }
    stage.close().await;
}
