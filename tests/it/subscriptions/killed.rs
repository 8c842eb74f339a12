//! A process is killed in the midst of a renewal: all of it is there, or nothing.

use std::time::Duration;

use chrono::{DateTime, Months, Utc};
use diesel_async::SimpleAsyncConnection;
use serde_json::Value;

use super::{helper::Renewer, stage::Stage};
use crate::support::{
    cluster::variable,
    rows::{connect, execute, row_when},
};

/// What the renewal is about to write when it is killed: table, moment, condition.
const POINTS: [(&str, &str, &str); 6] = [
    ("ledger_entries", "BEFORE INSERT", "NEW.kind = 'expire'"),
    ("ledger_entries", "AFTER INSERT", "NEW.kind = 'expire'"),
    ("grants", "BEFORE INSERT", "NEW.source = 'rollover'"),
    ("grants", "BEFORE INSERT", "NEW.source = 'plan'"),
    ("ledger_entries", "AFTER INSERT", "NEW.kind = 'grant'"),
    ("subscriptions", "AFTER UPDATE", "true"),
];

/// Whoever holds it keeps the renewal where it is.
const GATE: i64 = 0x6761_7465;

const WAITING: &str = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
const GONE: &str = "SELECT 1 AS one WHERE NOT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
                     WHERE l.relation = 'subscriptions'::regclass AND a.pid <> pg_backend_pid() AND a.datname = current_database())";

fn stop_at((table, moment, condition): (&str, &str, &str)) -> String {
    format!(
        "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN PERFORM pg_advisory_xact_lock({GATE}); RETURN NEW; END $$;
         CREATE TRIGGER stop {moment} ON {table} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION stop()"
    )
}

/// Everything that a renewal writes.
async fn everything(stage: &Stage) -> Vec<Value> {
    let mut all = Vec::new();
    for query in [
        "SELECT plan_id, period, revision FROM subscriptions",
        "SELECT source, source_key, amount, available, expired FROM grants ORDER BY source, source_key, amount",
        "SELECT meter, available, revision FROM wallets ORDER BY meter",
        "SELECT kind, amount, balance_after, revision FROM ledger_entries ORDER BY revision, wallet_id",
    ] {
        all.extend(stage.rows(query).await);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_point_a_renewal_is_whole_or_was_not() {
    let each: u32 = if variable("TEST_SCALE").is_some() { 40 } else { 3 };
    let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut kills = 0;
    for point in POINTS {
        let mut stage = Stage::begin(start).await;
        let url = stage.world.db.url.clone();
        stage.set_plan("midi", None).await;
        for round in 1..=each {
            stage.set(start + Months::new(round)).await;
            let before = everything(&stage).await;
            let mut gate = connect(&url).await;
            gate.batch_execute(&format!("SELECT pg_advisory_lock({GATE})")).await.unwrap();
            execute(&url, &stop_at(point)).await;
            let mut renewer = Renewer::start(&url);
            renewer.order(1, stage.account, None);
            row_when(&url, Duration::from_secs(20), WAITING).await;
            renewer.kill();
            drop(gate);
            row_when(&url, Duration::from_secs(20), GONE).await;
            assert_eq!(
                everything(&stage).await,
                before,
                "something is left of a renewal killed at {point:?}"
            );
            let table = point.0;
            execute(&url, &format!("DROP TRIGGER stop ON {table}; DROP FUNCTION stop()")).await;
            // What it was about to do is done by the next who looks, once.
            stage.look().await;
            let after = everything(&stage).await;
            assert_ne!(after, before);
            stage.look().await;
            assert_eq!(everything(&stage).await, after);
            kills += 1;
        }
        stage.close().await;
    }
    println!("renewals_killed n={kills} points={} ok", POINTS.len());
}
