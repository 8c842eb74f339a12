//! Changes that are made in one process and watched in another: with hints, without, and with hints that fail.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{next, watch};
use crate::{
    conversations::{created, tree, update},
    support::{
        binary::{Binary, Launch},
        cluster::variable,
        db::TestDb,
        provider::{Script, ScriptedProvider},
        restart::SIGNING_KEY,
        rows::{connect, rows},
        ws::Socket,
    },
};

const CHANGES: usize = 50;
/// From the answer to the sender to the event at the watcher, without hints: a look every second.
const PROMISE: Duration = Duration::from_secs(2);
const KILL: &str = "SELECT count(pg_terminate_backend(pid)) AS n FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%loquent_pulse_%'";

/// False in a run that goes without hints.
fn are_hinting() -> bool {
    variable("TEST_NOTIFY").as_deref() != Some("off")
}

/// Makes the changes at one process and reads them at another. The connections for hints are killed at some of them, if
/// that is wished. Returns how long each took to get there.
async fn follow(is_notifying: bool, is_killing: bool) -> Vec<Duration> {
    let (db, provider) = (TestDb::create().await, ScriptedProvider::start().await);
    provider.always(Script::text("Yes.", 1).usage(1, 1));
    let settings = format!("{SIGNING_KEY}\n[database]\nnotify = {is_notifying}\n");
    let launch = Launch { database_url: &db.url, provider: provider.base_url(), settings: &settings };
    let (there, here) = (Binary::start(&launch), Binary::start(&launch));
    assert_ne!(there.replica_id().await, here.replica_id().await, "two processes");
    let person = there.client.sign_up().await;
    let watcher = here.client.with_token(person.token.clone().unwrap());
    let conversation = created(&person, "Begin").await;
    let socket = Socket::connect(&watcher).await;
    let mut watching = watch(&socket, &conversation, None).await;
    assert_eq!(next(&mut watching).await.0, 0);
    let mut conn = connect(&db.url).await;
    let (mut newest, mut killed, mut delays) = (0, 0, Vec::new());
    for change in 0..CHANGES {
        if is_killing && change % 5 == 0 {
            killed += rows(&mut conn, KILL).await[0]["n"].as_u64().unwrap();
        }
        let is_turn = change % 5 == 4;
        let added = if is_turn {
            let turn = tree::send(&person, &conversation, None, "Hi").await;
            assert_eq!(turn["userErrors"], json!([]), "{turn}");
            4
        } else {
            update(&person, &conversation, json!({ "title": format!("Title {change}") })).await;
            1
        };
        let since = Instant::now();
        for _ in 0..added {
            newest += 1;
            assert_eq!(next(&mut watching).await.0, newest, "change {change}");
        }
        // The end of a turn comes in its own time.
        if !is_turn {
            delays.push(since.elapsed());
        }
    }
    assert!(!is_killing || killed >= 10, "only {killed} connections were killed");
    delays.sort_unstable();
    delays
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_in_another_process_is_seen_at_once_with_hints() {
    if !are_hinting() {
        return;
    }
    let delays = follow(true, false).await;
    let (median, slowest) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    println!("conversation stream elsewhere n={CHANGES} median={median:?} slowest={slowest:?} ok");
    assert!(median < Duration::from_millis(500), "hints do not help: {median:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_in_another_process_is_seen_without_hints_and_when_they_are_killed() {
    let killed = are_hinting().then_some(("hints killed", true));
    for (name, is_notifying) in std::iter::once(("without hints", false)).chain(killed) {
        let delays = follow(is_notifying, is_notifying).await;
        let slowest = delays[delays.len() - 1];
        println!("conversation stream elsewhere {name} n={CHANGES} slowest={slowest:?} ok");
        assert!(slowest < PROMISE, "{name}: {slowest:?}");
    }
}
