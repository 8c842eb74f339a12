//! A process that was stopped past its lease, and one that does not know yet that it was fenced: neither writes anything
//! more under its old id, and both go on under a new one.

use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    generations::fed::{Fed, ROOMY},
    support::{
        app::{TestApp, new_key},
        binary::{Binary, Launch},
        db::TestDb,
        feed::Dice,
        provider::{Gate, Script, ScriptedProvider},
        reader::{Got, Reader},
        restart::{SIGNING_KEY, check_ledger},
        rows::{connect, execute, message_uuid, row, row_when, rows},
        ws::Socket,
    },
};

const RUNS: usize = 5;
const PIECES: usize = 10;
/// Messages that reach the process while it stands still.
const SENT_MEANWHILE: usize = 3;
const LIMIT: Duration = Duration::from_secs(15);

/// Every row that belongs to the runs of a process, table by table: how many, and a digest of their content.
async fn rows_of(url: &str, replica_id: &str) -> Vec<Value> {
    let query = format!(
        "WITH g AS (SELECT * FROM generations WHERE replica_id = '{replica_id}'),
              t AS (SELECT 'generations' AS name, g::text AS content FROM g
              UNION ALL SELECT 'messages', m::text FROM messages m JOIN g ON g.message_id = m.id
              UNION ALL SELECT 'stream_events', e::text FROM stream_events e JOIN g ON g.message_id = e.message_id
              UNION ALL SELECT 'holds', h::text FROM holds h JOIN g ON g.id = h.id
              UNION ALL SELECT 'ledger_entries', l::text FROM ledger_entries l JOIN g ON g.id = l.hold_id)
         SELECT name, count(*) AS n, md5(string_agg(content, '|' ORDER BY content)) AS digest FROM t GROUP BY name
          ORDER BY name"
    );
    rows(&mut connect(url).await, &query).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_stopped_past_its_lease_writes_nothing_more_under_its_old_id_and_works_on() {
    let mut dice = Dice::throw("stopped");
    let db = TestDb::create().await;
    let provider = ScriptedProvider::start().await;
    let settings = format!("{ROOMY}{SIGNING_KEY}[streams]\nlease_ms = 1000");
    let launch = Launch { database_url: &db.url, provider: provider.base_url(), settings: &settings };
    let (sleeper, other) = (Binary::start(&launch), Binary::start(&launch));
    let person = sleeper.client.sign_up().await;
    let (old, survivor) = (sleeper.replica_id().await, other.replica_id().await);
    let socket = Socket::connect(&person).await;
    let answers: Vec<_> = (0..RUNS).map(|_| dice.pieces(PIECES)).collect();
    let mut streams = Fed::start_all(&provider, &person, &answers).await;
    for fed in &mut streams {
        fed.watch(&socket).await;
        fed.read_until(fed.feed.text.len() / 2).await;
    }

    sleeper.signal(Signal::STOP);
    for fed in &mut streams {
        fed.feed.give_all();
    }
    let keys: Vec<String> = (0..SENT_MEANWHILE).map(|_| new_key()).collect();
    let sending = join_all(keys.iter().map(|key| Fed::send(key, &person)));
    let waking = async {
        let all_ended =
            "SELECT 1 AS one WHERE NOT EXISTS (SELECT FROM generations WHERE finished_at IS NULL)";
        row_when(&db.url, LIMIT, all_ended).await;
        let before = rows_of(&db.url, &old).await;
        sleeper.signal(Signal::CONT);
        before
    };
    let (sent, before) = tokio::join!(sending, waking);

    // What was sent meanwhile is answered, under the new id.
    let fenced = format!("SELECT fenced_at IS NOT NULL AS is_fenced FROM replicas WHERE id = '{old}'");
    assert_eq!(row(&db.url, &fenced).await["is_fenced"], true, "it was not fenced");
    for sent in &sent {
        assert_eq!(sent["userErrors"], json!([]), "{sent}");
        let id = sent["assistantMessage"]["id"].as_str().unwrap();
        assert_eq!(person.wait_for_end(id).await["__typename"], "MessageFinished");
        let run = format!("SELECT replica_id FROM generations WHERE message_id = '{}'", message_uuid(id));
        let runner = row(&db.url, &run).await["replica_id"].as_str().unwrap().to_owned();
        assert!(runner != old && runner != survivor, "run by {runner}, which is not the new id");
        assert_eq!(runner, sleeper.replica_id().await);
    }
    // Its watchers got the end that the other one wrote.
    for fed in &mut streams {
        let seen = fed.reader.text.clone();
        assert_eq!(fed.reader.read_to_end().await["error"]["code"], "INTERRUPTED");
        assert_eq!(fed.reader.text, seen);
    }
    provider.idle().await;
    let after = rows_of(&db.url, &old).await;
    assert_eq!(after, before, "it wrote after it was fenced");
    let counted: i64 = after.iter().map(|table| table["n"].as_i64().unwrap()).sum();
    assert!(after.len() == 5 && counted >= 5 * i64::try_from(RUNS).unwrap(), "{after:?}");
    println!("stopped n={RUNS} sent_meanwhile={SENT_MEANWHILE} rows={counted} {} ok", check_ledger(&db.url));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_does_not_know_its_fence_yet_neither_ends_nor_begins_a_run() {
    let app = TestApp::builder().settings(ROOMY).start().await;
    let person = app.client.sign_up().await;
    let socket = Socket::connect(&person).await;
    let gate = Gate::default();
    let mut readers = Vec::new();
    for _ in 0..RUNS {
        app.provider.then(Script::text("All of it.", 1).gate_after(1, &gate));
        let sent = person.send_text("Hi", json!({})).await;
        let mut reader = Reader::open(&socket, sent["assistantMessage"]["id"].as_str().unwrap()).await;
        while reader.text != "All of it." {
            assert!(matches!(reader.next().await, Got::Snapshot | Got::Delta));
        }
        readers.push(reader);
    }
    let old = app.app.generations.replica_id();

    // Everything is stored, so the runs would end without asking the log for anything.
    execute(&app.db.url, "UPDATE replicas SET fenced_at = loquent_now()").await;
    gate.open();
    let sent = person.send_text("And now?", json!({})).await;
    assert_eq!(sent["userErrors"], json!([]), "{sent}");
    let next = sent["assistantMessage"]["id"].as_str().unwrap();
    let run = format!("SELECT replica_id FROM generations WHERE message_id = '{}'", message_uuid(next));
    let runner = row(&app.db.url, &run).await["replica_id"].clone();
    assert_ne!(runner, json!(old), "a run was begun for a fenced process");
    assert_eq!(runner, json!(app.app.generations.replica_id()));
    assert_eq!(person.wait_for_end(next).await["__typename"], "MessageFinished");
    for reader in &mut readers {
        let end = reader.read_to_end().await;
        assert_eq!(end["error"]["code"], "INTERRUPTED", "a fenced process ended a run: {end}");
    }
    app.close().await;
    println!("unaware n={} ok", RUNS + 1);
}
