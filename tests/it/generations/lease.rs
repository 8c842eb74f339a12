//! A process that others have given up: it says nothing more in its old name, and goes on under a new one.

use std::time::Duration;

use serde_json::json;

use super::fed::{Fed, ROOMY};
use crate::support::{
    app::TestApp,
    feed::Dice,
    rows::{connect, execute, message_uuid, row, row_when, rows, stored},
    ws::Socket,
};

const STREAMS: usize = 5;
const PIECES: usize = 10;

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
        let run = format!(
            "SELECT g.replica_id, g.revision, (SELECT max(sequence) FROM stream_events e WHERE e.message_id = m.id) AS newest, \
                    (SELECT count(*) FROM ledger_entries l WHERE l.hold_id = g.id AND l.kind IN ('settle', 'release')) AS ends \
               FROM messages m JOIN generations g ON g.message_id = m.id WHERE m.id = '{message}'"
        );
        let run = rows(&mut conn, &run).await.swap_remove(0);
        assert_eq!((&run["replica_id"], &run["revision"], &run["ends"]), (&old, &json!(2), &json!(1)));
        assert_eq!(run["newest"].as_i64().unwrap_or(0), stored.sequence - 1);
    }
    drop(conn);
    app.close().await;
    println!("lost_lease n={} ok", STREAMS + 2);
}
