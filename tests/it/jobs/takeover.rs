//! Whose jobs are taken, whose are not, and how soon what has failed together comes back.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use serde_json::json;

use super::stage::Stage;
use crate::support::rows::{connect, execute, row, row_when};

const LIMIT: Duration = Duration::from_secs(20);

/// Adds a process whose lease holds, with what has happened to it, and a running job of it. Ids end in `n`.
async fn add_job(url: &str, n: u32, happened: &str) {
    let replica = format!(
        "INSERT INTO replicas (id, lease_until, version, {happened}) VALUES \
         ('00000000-0000-7000-8000-00000000000{n}', loquent_now() + interval '1 hour', 'test', loquent_now())"
    );
    let job = format!(
        "INSERT INTO jobs (id, queue, name, payload, state, owner_id, attempts, max_attempts, fence, claimed_at, deadline_at) \
         VALUES ('00000000-0000-7000-8000-00000000010{n}', 'default', 'tests.play', '{{}}', 'running', \
                 '00000000-0000-7000-8000-00000000000{n}', 1, 3, 1, loquent_now(), loquent_now() + interval '1 hour')"
    );
    execute(url, &replica).await;
    execute(url, &job).await;
}

fn job(n: u32, columns: &str, is: &str) -> String {
    format!("SELECT {columns} FROM jobs WHERE id = '00000000-0000-7000-8000-00000000010{n}' AND {is}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_costs_an_attempt_and_a_goodbye_does_not() {
    let stage = Stage::open_with("[jobs]\nconcurrency = 0").await;
    let url = stage.app.db.url.clone();
    add_job(&url, 1, "drained_at").await;
    add_job(&url, 2, "fenced_at").await;
    let given_back = row_when(&url, LIMIT, &job(1, "state, attempts, reason", "owner_id IS NULL")).await;
    assert_eq!(given_back, json!({ "state": "ready", "attempts": 0, "reason": null }));
    let taken = row_when(&url, LIMIT, &job(2, "attempts, reason", "owner_id IS NULL")).await;
    assert_eq!(taken, json!({ "attempts": 1, "reason": "The process that ran it came to an end." }));
    stage.close().await;
}

/// A takeover looks while a job of a dead process is claimed by a living one. It is held in the middle of its statement, at
/// the first job, which only the time can judge.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_a_living_process_has_claimed_meanwhile_is_not_taken() {
    let stage = Stage::open_with("[jobs]\nconcurrency = 0").await;
    let url = stage.app.db.url.clone();
    let mut gate = connect(&url).await;
    gate.batch_execute("SELECT pg_advisory_lock(77)").await.unwrap();
    let held = "CREATE OR REPLACE FUNCTION loquent_now() RETURNS timestamptz LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS \
                $$BEGIN IF current_query() LIKE '%came to an end%' THEN PERFORM pg_advisory_xact_lock_shared(77); END IF; \
                  RETURN clock_timestamp(); END$$";
    execute(&url, held).await;
    // In one commit, so that no look sees the second without the first.
    let mut conn = connect(&url).await;
    conn.batch_execute("BEGIN; LOCK TABLE jobs IN EXCLUSIVE MODE").await.unwrap();
    let rows = "INSERT INTO replicas (id, lease_until, version, fenced_at) VALUES \
          ('00000000-0000-7000-8000-000000000001', loquent_now() + interval '1 hour', 'test', NULL), \
          ('00000000-0000-7000-8000-000000000002', loquent_now(), 'test', loquent_now()); \
        INSERT INTO jobs (id, queue, name, payload, state, owner_id, attempts, max_attempts, fence, claimed_at, deadline_at) \
        SELECT ('00000000-0000-7000-8000-00000000010' || n)::uuid, 'default', 'tests.play', '{}', 'running', \
               ('00000000-0000-7000-8000-00000000000' || n)::uuid, 1, 3, 1, loquent_now(), loquent_now() + interval '1 hour' \
          FROM generate_series(1, 2) n; COMMIT";
    conn.batch_execute(rows).await.unwrap();
    let is_held = "SELECT 1 AS one FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    row_when(&url, LIMIT, is_held).await;
    let claim = "UPDATE jobs SET owner_id = '00000000-0000-7000-8000-000000000001', fence = 2 \
                  WHERE id = '00000000-0000-7000-8000-000000000102'";
    execute(&url, claim).await;
    gate.batch_execute("SELECT pg_advisory_unlock(77)").await.unwrap();
    // Whoever takes this one has ended the look before.
    add_job(&url, 3, "fenced_at").await;
    row_when(&url, LIMIT, &job(3, "id", "owner_id IS NULL")).await;
    let claimed = row(&url, &job(2, "state, fence, attempts, reason", "true")).await;
    assert_eq!(claimed, json!({ "state": "running", "fence": 2, "attempts": 1, "reason": null }));
    execute(&url, "UPDATE jobs SET state = 'canceled', owner_id = NULL, finished_at = loquent_now()").await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_failed_together_do_not_queue_for_their_turn_to_be_ready() {
    const JOBS: usize = 20_000;
    let stage = Stage::open_with("[jobs]\nconcurrency = 0").await;
    let url = stage.app.db.url.clone();
    let failed = format!(
        "INSERT INTO jobs (queue, name, payload, state, run_at, attempts, max_attempts) \
         SELECT 'default', 'tests.play', '{{}}', 'scheduled', loquent_now(), 1, 3 FROM generate_series(1, {JOBS})"
    );
    execute(&url, &failed).await;
    // At a round a second this would take twice as long.
    let all = "SELECT 1 AS one WHERE NOT EXISTS (SELECT FROM jobs WHERE state = 'scheduled')";
    row_when(&url, LIMIT, all).await;
    println!("promote n={JOBS} ok");
    stage.close().await;
}
