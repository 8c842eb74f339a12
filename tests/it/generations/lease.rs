//! A process that others have given up: it says nothing more in its old name, and goes on under a new one.

use std::time::Duration;

use diesel_async::AsyncPgConnection;
use rustix::process::Signal;
use serde_json::{Value, json};
use uuid::Uuid;

use super::fed::{Fed, ROOMY};
use crate::support::{
    app::TestApp,
    binary::{Binary, Launch},
    db::TestDb,
    feed::Dice,
    provider::ScriptedProvider,
    reader::Reader,
    restart::{SIGNING_KEY, check_ledger},
    rows::{connect, execute, message_uuid, row, row_when, rows, stored},
    ws::Socket,
};

const STREAMS: usize = 5;
const PIECES: usize = 10;

/// The run is still its old owner's, was ended by one statement, and the log has nothing after what was counted.
async fn assert_ended_once(conn: &mut AsyncPgConnection, message: Uuid, owner: &Value, last: i64) {
    let run = format!(
        "SELECT g.replica_id, g.revision - (g.first_output_at IS NOT NULL)::int AS revision, (SELECT max(sequence) FROM stream_events e WHERE e.message_id = m.id) AS newest, \
                (SELECT count(*) FROM ledger_entries l WHERE l.hold_id = g.id AND l.kind IN ('settle', 'release')) AS ends \
           FROM messages m JOIN generations g ON g.message_id = m.id WHERE m.id = '{message}'"
    );
    let run = rows(conn, &run).await.swap_remove(0);
    assert_eq!((&run["replica_id"], &run["revision"], &run["ends"]), (owner, &json!(2), &json!(1)));
    assert_eq!(run["newest"].as_i64().unwrap_or(0), last - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_lost_its_lease_writes_nothing_more_and_goes_on_under_a_new_identity() {
    let mut dice = Dice::throw("lost_lease");
    let app = TestApp::builder().settings(&format!("{ROOMY}[streams]\nlease_ms = 1000")).start().await;
    let url = app.db.url.clone();
    let person = app.client.sign_up().await;
    let socket = Socket::connect(&person).await;
    let answers: Vec<_> = (0..STREAMS).map(|_| dice.pieces(PIECES)).collect();
    let mut streams = Fed::start_all(&app.provider, &person, &answers).await;
    for fed in &mut streams {
        fed.watch(&socket).await;
        fed.read_until(fed.feed.text.len() / 2).await;
    }
    // One that has said nothing yet.
    let mut silent = Fed::start(&app.provider, &person, &dice.pieces(PIECES)).await;
    silent.watch(&socket).await;
    let old = row(&url, "SELECT id FROM replicas").await["id"].clone();

    execute(&url, "UPDATE replicas SET fenced_at = loquent_now()").await;
    for fed in streams.iter_mut().chain([&mut silent]) {
        fed.feed.give_all();
    }
    let new = row_when(
        &url,
        Duration::from_secs(10),
        "SELECT id FROM replicas WHERE fenced_at IS NULL AND drained_at IS NULL",
    )
    .await["id"]
        .clone();
    assert_ne!(old, new);
    app.provider.idle().await;

    let mut next = Fed::start(&app.provider, &person, &dice.pieces(PIECES)).await;
    next.watch(&socket).await;
    assert_eq!(next.read_to_end().await["__typename"], "MessageFinished");

    let mut conn = connect(&url).await;
    streams.push(silent);
    for fed in &mut streams {
        let seen = fed.reader.text.clone();
        let end = fed.reader.read_to_end().await;
        assert_eq!(end["__typename"], "MessageFailed");
        assert_eq!((&end["error"]["code"], &end["isRetryable"]), (&json!("INTERRUPTED"), &json!(true)));
        let stored = stored(&mut conn, &fed.message_id).await;
        assert_eq!((&*stored.status, &stored.text), ("interrupted", &seen), "something was added");
        assert_eq!((&fed.reader.text, Some(stored.sequence)), (&stored.text, fed.reader.sequence));
        assert_eq!(stored.charged == Some(0), seen.is_empty(), "{stored:?}");
        let message = message_uuid(&fed.message_id);
        assert_ended_once(&mut conn, message, &old, stored.sequence).await;
    }
    drop(conn);
    app.close().await;
    println!("lost_lease n={} ok", STREAMS + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_slept_through_its_lease_finds_its_answers_ended_by_another() {
    let mut dice = Dice::throw("slept");
    let db = TestDb::create().await;
    let provider = ScriptedProvider::start().await;
    let settings = format!("{ROOMY}{SIGNING_KEY}[streams]\nlease_ms = 1000");
    let launch = Launch { database_url: &db.url, provider: provider.base_url(), settings: &settings };
    let sleeper = Binary::start(&launch);
    let person = sleeper.client.sign_up().await;
    let socket = Socket::connect(&person).await;
    let owner = row(&db.url, "SELECT id FROM replicas").await["id"].clone();
    let other = Binary::start(&launch);
    let elsewhere = Socket::connect(&other.client.with_token(person.token.clone().unwrap())).await;
    let answers: Vec<_> = (0..STREAMS).map(|_| dice.pieces(PIECES)).collect();
    let mut streams = Fed::start_all(&provider, &person, &answers).await;
    let mut remote = Vec::new();
    for fed in &mut streams {
        fed.watch(&socket).await;
        remote.push(Reader::open(&elsewhere, &fed.message_id).await);
        fed.read_until(fed.feed.text.len() / 2).await;
    }

    sleeper.signal(Signal::STOP);
    for fed in &mut streams {
        fed.feed.give_all();
    }
    let all_ended = "SELECT 1 AS one WHERE NOT EXISTS (SELECT FROM generations WHERE finished_at IS NULL)";
    row_when(&db.url, Duration::from_secs(15), all_ended).await;
    sleeper.signal(Signal::CONT);

    let mut conn = connect(&db.url).await;
    for (fed, mut remote) in streams.iter_mut().zip(remote) {
        let seen = fed.reader.text.clone();
        for reader in [&mut fed.reader, &mut remote] {
            assert_eq!(reader.read_to_end().await["error"]["code"], "INTERRUPTED");
            assert_eq!(reader.text, seen);
        }
        let stored = stored(&mut conn, &fed.message_id).await;
        assert_eq!((&*stored.status, &stored.text), ("interrupted", &seen), "something was added");
        assert_ended_once(&mut conn, message_uuid(&fed.message_id), &owner, stored.sequence).await;
    }
    let new = format!(
        "SELECT id FROM replicas WHERE started_at > (SELECT max(fenced_at) FROM replicas) AND id <> '{}'",
        owner.as_str().unwrap()
    );
    row_when(&db.url, Duration::from_secs(10), &new).await;
    let mut next = Fed::start(&provider, &person, &dice.pieces(PIECES)).await;
    next.watch(&socket).await;
    assert_eq!(next.read_to_end().await["__typename"], "MessageFinished");
    println!("slept n={STREAMS} pids={:?} {} ok", [sleeper.pid(), other.pid()], check_ledger(&db.url));
}
