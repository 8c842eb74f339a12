//! The two functions of the database, whose time the test moves.

use std::collections::VecDeque;

use rand::RngExt;
use serde_json::Value;

use crate::support::{
    db::TestDb,
    rows::{connect, execute, row, rows},
};

/// A database whose clock stands still until the test moves it.
async fn with_clock() -> TestDb {
    let db = TestDb::create().await;
    let clock = "
        CREATE TABLE test_clock (at timestamptz NOT NULL);
        INSERT INTO test_clock VALUES ('2026-01-01T00:00:00Z');
        CREATE OR REPLACE FUNCTION loquent_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT at FROM test_clock'";
    execute(&db.url, clock).await;
    db
}

fn advance(ms: i64) -> String {
    format!("UPDATE test_clock SET at = at + interval '{ms} milliseconds'")
}

fn take(most: i64) -> String {
    format!("SELECT * FROM rate_take('k', {most}, 10, interval '1 second')")
}

#[tokio::test]
async fn a_sliding_window_takes_what_is_there_and_says_when_more_will_be() {
    let db = with_clock().await;
    let said = async |sql: &str| {
        let found = row(&db.url, sql).await;
        ["granted", "free", "retry_us", "reset_us"].map(|name| found[name].as_i64().unwrap())
    };
    assert_eq!(said(&take(4)).await, [4, 6, 0, 1_000_000]);
    execute(&db.url, &advance(300)).await;
    assert_eq!(said(&take(8)).await, [6, 0, 700_000, 1_000_000]);
    execute(&db.url, &advance(699)).await;
    assert_eq!(said(&take(1)).await, [0, 0, 1_000, 301_000]);
    execute(&db.url, &advance(1)).await;
    assert_eq!(said(&take(9)).await, [4, 0, 300_000, 1_000_000]);
    // A limit that was lowered meanwhile holds from now on.
    let lower = "SELECT * FROM rate_take('k', 1, 2, interval '1 second')";
    assert_eq!(said(lower).await, [0, 0, 1_000_000, 1_000_000]);
    // A clock that is set back by a year keeps nobody out for a year.
    execute(&db.url, "UPDATE test_clock SET at = at - interval '1 year'").await;
    assert_eq!(said(&take(1)).await, [1, 9, 0, 1_000_000]);
    db.close().await;
}

#[tokio::test]
async fn a_random_history_has_no_window_with_more_than_the_limit_and_wastes_nothing() {
    const STEPS: usize = 2_000;
    let db = with_clock().await;
    let mut conn = connect(&db.url).await;
    let (mut now, mut admitted) = (0_i64, VecDeque::<i64>::new());
    for step in 0..STEPS {
        let (pause, most) = {
            let mut random = rand::rng();
            (random.random_range(0..200), random.random_range(1..5))
        };
        diesel_async::SimpleAsyncConnection::batch_execute(&mut conn, &advance(pause)).await.unwrap();
        now += pause;
        while admitted.front().is_some_and(|stamp| *stamp <= now - 1_000) {
            admitted.pop_front();
        }
        let expected = most.min(10 - i64::try_from(admitted.len()).unwrap());
        let said = rows(&mut conn, &take(most)).await.pop().unwrap();
        assert_eq!(said["granted"], expected, "step {step} at {now}: {said} {admitted:?}");
        admitted.extend((0..expected).map(|_| now));
        let retry = if admitted.len() == 10 { (admitted[0] + 1_000 - now) * 1_000 } else { 0 };
        assert_eq!(said["retry_us"], retry, "step {step}");
    }
    println!("rate_take_history n={STEPS} ok");
    drop(conn);
    db.close().await;
}

#[tokio::test]
async fn a_bucket_refills_evenly_and_takes_back_what_was_not_used() {
    let db = with_clock().await;
    let spend = async |back: i64, least: i64, most: i64| {
        let sql =
            format!("SELECT * FROM rate_spend('b', {back}, {least}, {most}, 100, interval '10 seconds')");
        let found: Value = row(&db.url, &sql).await;
        ["granted", "free", "retry_us", "reset_us"].map(|name| found[name].as_i64().unwrap())
    };
    assert_eq!(spend(0, 30, 30).await, [30, 70, 0, 3_000_000]);
    assert_eq!(spend(0, 60, 90).await, [70, 0, 0, 10_000_000]);
    assert_eq!(spend(0, 5, 5).await, [0, 0, 500_000, 10_000_000]);
    execute(&db.url, &advance(499)).await;
    assert_eq!(spend(0, 5, 5).await, [0, 4, 1_000, 9_501_000]);
    execute(&db.url, &advance(1)).await;
    assert_eq!(spend(0, 5, 50).await, [5, 0, 0, 10_000_000]);
    assert_eq!(spend(20, 0, 0).await, [0, 20, 0, 8_000_000]);
    // What was given back too late was refilled already: a bucket is never more than full.
    execute(&db.url, &advance(60_000)).await;
    assert_eq!(spend(50, 0, 0).await, [0, 100, 0, 0]);
    assert_eq!(spend(50, 100, 100).await, [100, 0, 0, 10_000_000]);
    db.close().await;
}

#[tokio::test]
async fn a_row_that_is_pruned_in_the_same_moment_loses_nothing() {
    let db = with_clock().await;
    execute(&db.url, &take(10)).await;
    let mut conn = connect(&db.url).await;
    let prune = loquent::platform::postgres::rate_limits::prune;
    assert_eq!(prune(&mut conn, 10).await.unwrap(), 0, "a row that still says something was pruned");
    execute(&db.url, &advance(1_000)).await;
    assert_eq!(prune(&mut conn, 10).await.unwrap(), 1);
    assert_eq!(row(&db.url, &take(10)).await["granted"], 10);
    drop(conn);
    db.close().await;
}
