//! Stopping an answer: what was made is kept and paid for, the rest comes back, and nobody else can do it.

use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection;
use serde_json::{Value, json};

use super::fed::Fed;
use crate::support::{
    app::TestApp,
    client::Client,
    provider::{Gate, Script},
    reader::{Got, Reader},
    rows::{connect, row_when, stored},
    ws::Socket,
};

fn pieces() -> Vec<String> {
    ["Ein ", "längerer ", "Satz, ", "der ", "nie ", "endet …"].map(str::to_owned).to_vec()
}

/// Stops an answer; the payload.
pub async fn cancel(person: &Client, generation_id: &str) -> Value {
    let query = "mutation($id: ID!) { cancelGeneration(input: { id: $id }) {
        generation { status finishReason charge { creditsHeld creditsCharged usage { source } } }
        creditBalance { held }
        userErrors { code field }
    } }";
    person.gql(query, json!({ "id": generation_id })).await.data()["cancelGeneration"].clone()
}

/// A person whose answer is half said, and read as far.
async fn half_read(app: &TestApp) -> (Client, Socket, Fed) {
    let person = app.client.sign_up().await;
    let socket = Socket::connect(&person).await;
    let mut fed = Fed::start(&app.provider, &person, &pieces()).await;
    fed.watch(&socket).await;
    fed.read_until(pieces()[..3].concat().len()).await;
    (person, socket, fed)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_stopped_before_its_first_word_costs_its_prompt_once_that_was_read() {
    let app = TestApp::start().await;
    let gate = Gate::default();
    // Before the head of the response, and after it.
    let unread = (Script::text("Never.", 1).gate(&gate), "0.000000", "100.000000", json!(null));
    let read = json!({ "source": "ESTIMATED" });
    let read = (Script::text("Never.", 1).gate_after(0, &gate), "0.006000", "99.994000", read);
    for (script, charged, left, usage) in [unread, read] {
        let person = app.client.sign_up().await;
        let calls = app.provider.calls();
        app.provider.then(script);
        let sent = person.send_text("Begin.", json!({})).await;
        app.provider.called(calls + 1).await;
        let message = sent["assistantMessage"].clone();
        let socket = Socket::connect(&person).await;
        let mut reader = Reader::open(&socket, message["id"].as_str().unwrap()).await;
        assert_eq!(reader.next().await, Got::Snapshot);
        let stopped = cancel(&person, message["generation"]["id"].as_str().unwrap()).await;
        let charge = json!({ "creditsHeld": "0.000000", "creditsCharged": charged, "usage": usage });
        let run = json!({ "status": "CANCELED", "finishReason": "CANCELED", "charge": charge });
        assert_eq!(stopped["generation"], run);
        assert_eq!(stopped["creditBalance"]["held"], "0.000000");
        let end = reader.read_to_end().await;
        assert_eq!(
            (&end["__typename"], &end["finishReason"]),
            (&json!("MessageFinished"), &json!("CANCELED"))
        );
        assert_eq!(reader.text, "");
        assert_eq!(person.balance().await, (left.to_owned(), "0.000000".to_owned()));
    }
    // The provider was hung up on.
    gate.open();
    app.provider.idle().await;
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_stopped_in_its_midst_is_kept_and_charged_once_however_often_it_is_stopped() {
    let app = TestApp::start().await;
    let (person, _socket, mut fed) = half_read(&app).await;
    let first = cancel(&person, &fed.generation_id).await;
    assert_eq!((&first["generation"]["status"], &first["userErrors"]), (&json!("CANCELED"), &json!([])));
    let charge = &first["generation"]["charge"];
    assert_eq!(
        (&charge["usage"]["source"], &charge["creditsHeld"]),
        (&json!("ESTIMATED"), &json!("0.000000"))
    );
    assert_eq!(first["creditBalance"]["held"], "0.000000");
    let end = fed.reader.read_to_end().await.clone();
    assert_eq!((&end["__typename"], &end["finishReason"]), (&json!("MessageFinished"), &json!("CANCELED")));
    let kept = stored(&mut connect(&app.db.url).await, &fed.message_id).await;
    assert_eq!((&kept.text, &fed.reader.text), (&pieces()[..3].concat(), &kept.text));
    assert!(kept.charged.is_some_and(|charged| charged > 0), "{kept:?}");
    let balance = person.balance().await;
    assert_eq!(cancel(&person, &fed.generation_id).await, first);
    assert_eq!(person.balance().await, balance);
    app.provider.idle().await;
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_what_has_ended_changes_nothing() {
    let app = TestApp::start().await;
    let (person, _socket, mut fed) = half_read(&app).await;
    fed.read_to_end().await;
    let mut conn = connect(&app.db.url).await;
    let before = stored(&mut conn, &fed.message_id).await;
    let late = cancel(&person, &fed.generation_id).await;
    assert_eq!((&late["generation"]["status"], &late["userErrors"]), (&json!("SUCCEEDED"), &json!([])));
    assert_eq!(stored(&mut conn, &fed.message_id).await, before);
    assert_eq!(before.text, fed.feed.text);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_cannot_stop_an_answer() {
    let app = TestApp::start().await;
    let (_person, _socket, mut fed) = half_read(&app).await;
    let stranger = app.client.sign_up().await;
    let refused = cancel(&stranger, &fed.generation_id).await;
    assert_eq!(
        (&refused["generation"], &refused["userErrors"][0]["code"]),
        (&Value::Null, &json!("NOT_FOUND"))
    );
    assert_eq!(fed.read_to_end().await["finishReason"], "STOP");
    assert_eq!(fed.reader.text, fed.feed.text);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_conversation_stops_its_answer_within_a_second_and_settles_it() {
    let app = TestApp::start().await;
    let mut times = Vec::new();
    for _ in 0..3 {
        let (person, _socket, mut fed) = half_read(&app).await;
        let begun = Instant::now();
        let deleted = person
            .gql(
                "mutation($id: ID!) { deleteConversation(input: { id: $id }) { userErrors { code } } }",
                json!({ "id": fed.conversation_id }),
            )
            .await;
        assert_eq!(deleted.data()["deleteConversation"]["userErrors"], json!([]));
        // The message is gone, so its end may come or not; the completion does.
        while fed.reader.next().await != Got::Complete {}
        times.push(begun.elapsed());
        let run = row_when(
            &app.db.url,
            Duration::from_secs(5),
            "SELECT status, credits_charged FROM generations WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT 1",
        )
        .await;
        assert_eq!(run["status"], "canceled");
        assert!(run["credits_charged"].as_i64().unwrap() > 0, "{run}");
        assert_eq!(person.balance().await.1, "0.000000");
        app.provider.idle().await;
    }
    // Three, because this machine may be busy for a moment.
    times.sort();
    assert!(times[1] < Duration::from_secs(1), "{times:?}");
    println!("delete_stops n={} median={:?} ok", times.len(), times[1]);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_waits_for_a_slow_database_loses_nothing_that_was_said() {
    let app = TestApp::start().await;
    let (person, _socket, mut fed) = half_read(&app).await;
    // The log cannot be written while somebody else has the row of the lease.
    let mut lock = connect(&app.db.url).await;
    lock.batch_execute("BEGIN; SELECT FROM replicas FOR UPDATE").await.unwrap();
    fed.feed.give(2);
    let blocked = "SELECT 1 AS one FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    row_when(&app.db.url, Duration::from_secs(10), blocked).await;
    let pending = cancel(&person, &fed.generation_id).await;
    assert_eq!(pending["userErrors"], json!([]));
    assert_eq!(pending["generation"]["finishReason"], Value::Null, "it ended before its text was stored");
    assert_eq!(pending["generation"]["charge"]["creditsCharged"], Value::Null);
    lock.batch_execute("COMMIT").await.unwrap();
    let end = fed.reader.read_to_end().await;
    assert_eq!(end["finishReason"], "CANCELED");
    let stored = stored(&mut connect(&app.db.url).await, &fed.message_id).await;
    assert_eq!((&stored.text, Some(stored.sequence)), (&fed.reader.text, fed.reader.sequence));
    assert!(stored.text.starts_with(&pieces()[..3].concat()) && fed.feed.text.starts_with(&stored.text));
    assert!(stored.charged.is_some_and(|charged| charged > 0), "{stored:?}");
    app.close().await;
}
