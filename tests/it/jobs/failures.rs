//! Attempts that fail, each in its way, and what comes after.

use std::time::Duration;

use chrono::{DateTime, Utc};
use loquent::jobs::Options;
use serde_json::{Value, json};

use super::stage::{Act, Stage};
use crate::support::rows::{connect, execute, row, row_when, rows};

fn instant(value: &Value) -> DateTime<Utc> {
    serde_json::from_value(value.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_is_tried_again_and_dead_in_the_end() {
    for (act, reason) in [
        (Act::Fail, "PROVIDER_UNAVAILABLE: The stage is broken."),
        (Act::Panic, "The handler panicked."),
        (Act::Forever, "The attempt took longer than its limit."),
    ] {
        let stage = Stage::open().await;
        let id = stage.enqueue("fails", act, Options::default()).await.unwrap();
        let mut keys = Vec::new();
        for attempt in 1..=3 {
            let begun = stage.next().await;
            assert_eq!((begun.job_id, begun.attempt), (id, attempt));
            keys.push(begun.effect_key);
            if attempt < 3 {
                let job = stage.job_when(id, "scheduled").await;
                assert_eq!((&job["attempts"], &job["reason"]), (&json!(attempt), &json!(reason)));
                stage.hasten().await;
            }
        }
        let job = stage.job_when(id, "dead").await;
        assert_eq!((&job["attempts"], &job["fence"], &job["reason"]), (&json!(3), &json!(3), &json!(reason)));
        keys.dedup();
        assert_eq!(keys.len(), 1, "an effect outside has one key in all attempts");
        // The runner works on.
        stage.enqueue("next", Act::Return, Options::default()).await;
        assert_eq!(stage.next().await.name, "next");
        stage.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_can_ask_for_a_pause_or_for_the_end() {
    let stage = Stage::open().await;
    let paused = stage.enqueue("paused", Act::RetryAfter(600), Options::default()).await.unwrap();
    let before = stage.now().await;
    let job = stage.job_when(paused, "scheduled").await;
    let pause = instant(&job["run_at"]) - before;
    assert!((598..=602).contains(&pause.num_seconds()), "{pause}");
    let ended = stage.enqueue("ended", Act::Never, Options::default()).await.unwrap();
    assert_eq!(stage.job_when(ended, "dead").await["attempts"], 1);
    // A day at most, whatever is asked for.
    let long = stage.enqueue("long", Act::RetryAfter(1_000_000), Options::default()).await.unwrap();
    let pause = instant(&stage.job_when(long, "scheduled").await["run_at"]) - before;
    assert!(pause.num_hours() <= 24, "{pause}");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_completed_stays_done_whatever_the_handler_says_then() {
    let stage = Stage::open().await;
    let id = stage.enqueue("completed", Act::Complete, Options::default()).await.unwrap();
    stage.next().await;
    let job = stage.job_when(id, "done").await;
    assert_eq!((&job["attempts"], stage.effects().await), (&json!(1), 1));
    stage.enqueue("next", Act::Return, Options::default()).await;
    assert_eq!(stage.next().await.name, "next", "there was another attempt");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_only_a_newer_version_can_read_waits_for_it() {
    let stage = Stage::open().await;
    let url = stage.app.db.url.clone();
    let newer = "INSERT INTO jobs (queue, name, payload, max_attempts) \
                 VALUES ('default', 'tests.play', '{\"name\":\"newer\",\"act\":\"fly\"}', 3)";
    execute(&url, newer).await;
    stage.app.app.job_hints.nudge();
    let failed = "SELECT attempts, reason FROM jobs WHERE state IN ('scheduled', 'dead')";
    let job = row_when(&url, Duration::from_secs(20), failed).await;
    assert_eq!(job["attempts"], 1, "{job}");
    // The process that gets the next attempt can read it.
    let read = "UPDATE jobs SET state = 'scheduled', run_at = loquent_now(), payload = payload || '{\"act\":\"Return\"}' \
                 WHERE state = 'scheduled' AND attempts = 1";
    execute(&url, read).await;
    let begun = stage.next().await;
    assert!(begun.attempt > 1, "{begun:?}");
    stage.job_when(begun.job_id, "done").await;
    stage.close().await;
}

/// The pause after `n` attempts is anywhere from nothing to `2^(n-1)` seconds, an hour at most.
#[tokio::test(flavor = "multi_thread")]
async fn pauses_are_random_and_bounded() {
    let stage = Stage::open_with("[jobs]\nconcurrency = 0").await;
    let url = stage.app.db.url.clone();
    let before = stage.now().await;
    // Of a process that nobody knows: the takeover lets them all wait.
    stage
        .app
        .db
        .fill_jobs(
            "SELECT 'default', 'tests.play', '{}', 'running', uuid_v7(), (n % 20 + 1)::smallint, 100::smallint \
               FROM generate_series(0, 399) n",
        )
        .await;
    let all = "SELECT 1 AS one WHERE NOT EXISTS (SELECT FROM jobs WHERE state = 'running')";
    row_when(&url, Duration::from_secs(20), all).await;
    let after = stage.now().await;
    let found = rows(&mut connect(&url).await, "SELECT attempts, run_at FROM jobs").await;
    assert_eq!(found.len(), 400);
    let mut in_upper_half = 0;
    for job in &found {
        let attempts = u32::try_from(job["attempts"].as_u64().unwrap()).unwrap();
        let cap = f64::from(2_u32.pow(attempts - 1)).min(3600.0);
        let at = instant(&job["run_at"]);
        let most = (at - before).as_seconds_f64();
        assert!(at >= before && (at - after).as_seconds_f64() <= cap, "{attempts}: {most} of {cap}");
        in_upper_half += usize::from((at - after).as_seconds_f64() > cap / 2.0);
    }
    // 400 throws of a coin: 60 and 340 are more than ten deviations away.
    assert!((60..340).contains(&in_upper_half), "{in_upper_half} of 400 pauses are long");
    let reason = row(&url, "SELECT DISTINCT reason FROM jobs").await["reason"].clone();
    assert_eq!(reason, "The process that ran it came to an end.");
    println!("backoff n=400 upper_half={in_upper_half} ok");
    stage.close().await;
}
