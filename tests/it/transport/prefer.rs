//! `Prefer: wait`: the answer in the answer, for callers without a socket.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::probe::Site;
use crate::support::{
    app::{MODEL, SEND, TestApp, new_key},
    client::{Answer, Client},
    processes::eventually,
    provider::{Gate, Script},
};

/// Longer than any event of a test takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn message() -> Value {
    json!({ "input": { "parts": [{ "text": "Hi" }], "model": MODEL, "idempotencyKey": new_key() } })
}

async fn send(person: &Client, variables: &Value, prefer: &str) -> Answer {
    let body = json!({ "query": SEND, "variables": variables }).to_string();
    let request = person.post(body).header(CONTENT_TYPE, "application/json").header("prefer", prefer);
    person.send(request).await
}

fn answer_of(answer: &Answer) -> &Value {
    &answer.data()["sendMessage"]["assistantMessage"]
}

#[tokio::test(flavor = "multi_thread")]
async fn who_prefers_to_wait_gets_the_finished_answer_in_the_payload() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let gate = Gate::default();
    app.provider.then(Script::text("The sea is wide.", 4).usage(12, 5).gate_after(2, &gate));
    let variables = message();
    let sending = send(&person, &variables, "wait=30");
    let opening = async {
        app.provider.called(1).await;
        gate.open();
    };
    let (answer, ()) = tokio::join!(sending, opening);
    assert_eq!(answer.header("preference-applied"), "wait=30");
    let message = answer_of(&answer);
    assert_eq!((&message["status"], &message["text"]), (&json!("SUCCEEDED"), &json!("The sea is wide.")));
    assert_eq!(message["generation"]["charge"]["creditsCharged"], "0.017000");
    assert_eq!(answer.data()["sendMessage"]["creditBalance"]["held"], "0.000000");

    let again = send(&person, &variables, "wait=30").await;
    assert_eq!(answer_of(&again), message);
    assert_eq!(app.provider.calls(), 1);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_time_is_over_the_answer_is_returned_as_far_as_it_is() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let gate = Gate::default();
    app.provider.then(Script::pieces(&["one ", "two"]).usage(3, 2).gate_after(1, &gate));
    let variables = message();
    let answer = send(&person, &variables, "wait=1").await;
    assert_eq!(answer.header("preference-applied"), "wait=1");
    let begun = answer_of(&answer);
    assert_eq!((&begun["status"], &begun["text"]), (&json!("RUNNING"), &json!("one ")));
    assert_eq!(begun["generation"]["charge"]["creditsCharged"], Value::Null);

    // Asked again under the same key, it is waited for again.
    gate.open();
    let again = send(&person, &variables, "wait=30").await;
    assert_eq!(answer_of(&again)["id"], begun["id"]);
    assert_eq!(answer_of(&again)["text"], "one two");
    app.close().await;
}

#[tokio::test]
async fn a_query_never_waits_so_it_is_given_no_more_time() {
    let site = Site::start_with(|settings| settings.operation = Duration::from_millis(50), Vec::new()).await;
    let body = json!({ "query": "query Hangs { __typename }", "operationName": "Hangs" }).to_string();
    let request = site.client.post(body).header(CONTENT_TYPE, "application/json").header("prefer", "wait=60");
    let answer = tokio::time::timeout(PATIENCE, site.client.send(request)).await.expect("an end in time");
    assert_eq!((answer.status.as_u16(), answer.code()), (504, "TIMEOUT"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_want_to_wait_is_answered_at_once() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let gate = Gate::default();
    app.provider.always(Script::text("Late.", 1).usage(3, 2).gate(&gate));
    let mut ids = Vec::new();
    for prefer in ["respond-async", "wait=0", "wait=soon"] {
        let answer = send(&person, &message(), prefer).await;
        assert_eq!(answer_of(&answer)["status"], "QUEUED", "{prefer}");
        assert_eq!(answer.header("preference-applied"), "");
        ids.push(answer_of(&answer)["id"].as_str().unwrap().to_owned());
    }
    // What cannot wait does not claim to have waited.
    let body = json!({ "query": "{ __typename }" }).to_string();
    let request = person.post(body).header(CONTENT_TYPE, "application/json").header("prefer", "wait=9");
    assert_eq!(person.send(request).await.header("preference-applied"), "");
    gate.open();
    for id in ids {
        person.wait_for_end(&id).await;
    }
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_is_not_waited_for() {
    let app = TestApp::builder().credits("0").start().await;
    let person = app.client.sign_up().await;
    let answer = send(&person, &message(), "wait=60").await;
    assert_eq!(answer.user_errors("sendMessage")[0]["code"], "INSUFFICIENT_CREDITS");
    assert_eq!(answer.header("preference-applied"), "");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_hangs_up_changes_nothing_and_is_not_waited_for() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let gate = Gate::default();
    app.provider.then(Script::text("Nobody hears.", 2).usage(3, 2).gate_after(1, &gate));
    let idle = app.app.tasks.running();
    let variables = message();
    let body = json!({ "query": SEND, "variables": variables }).to_string();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nPrefer: wait=60\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        person.token.as_deref().unwrap(),
        body.len()
    );
    let mut stream = TcpStream::connect(person.base_url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    app.provider.called(1).await;
    assert!(eventually(PATIENCE, || app.app.tasks.running() == idle + 2).await, "the run and the mutation");
    drop(stream);
    assert!(eventually(PATIENCE, || app.app.tasks.running() == idle + 1).await, "the run");
    gate.open();
    let again = send(&person, &variables, "wait=60").await;
    assert_eq!(answer_of(&again)["text"], "Nobody hears.");
    assert_eq!(app.provider.calls(), 1);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stops_lets_nobody_wait() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let gate = Gate::default();
    app.provider.then(Script::text("Late.", 1).usage(3, 2).gate(&gate));
    let variables = message();
    let sending = send(&person, &variables, "wait=60");
    let stopping = async {
        app.provider.called(1).await;
        app.app.tasks.draining().cancel();
    };
    let (answer, ()) = tokio::join!(sending, stopping);
    assert_eq!(answer_of(&answer)["status"], "QUEUED");
    gate.open();
    person.wait_for_end(answer_of(&answer)["id"].as_str().unwrap()).await;
    app.close().await;
}
