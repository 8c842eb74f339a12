//! Results as server-sent events: the protocol, the bounds, and how a stream ends.

use std::time::Duration;

use loquent::graphql::transport::Settings;
use serde_json::{Value, json};

use super::probe::Site;
use crate::support::{
    app::{TestApp, WATCH},
    client::Client,
    processes::eventually,
    provider::{Gate, Script},
    sse::{EventStream, Frame},
};

/// An operation of the probe.
async fn subscribe(client: &Client, name: &str) -> EventStream {
    let document = format!(
        "subscription {name} {{ messageStream(messageId: \"msg_00000000000000000000000001\") {{ __typename }} }}"
    );
    client.stream_named(&document, name).await
}

/// The same, let in again and again until there is a place.
async fn subscribe_when_free(client: &Client, name: &str) -> EventStream {
    let is_let_in = async {
        loop {
            let stream = subscribe(client, name).await;
            if stream.status() == 200 {
                return stream;
            }
            assert_eq!(stream.refusal().await, "RATE_LIMITED");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), is_let_in).await.expect("a free place")
}

fn code(result: &Value) -> &str {
    result["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{result}"))
}

#[tokio::test]
async fn queries_and_mutations_have_one_result_and_an_end() {
    let site = Site::start().await;
    for (query, root) in [("{ __typename }", "Query"), ("mutation { __typename }", "Mutation")] {
        let stream = site.client.stream(query, json!({})).await;
        assert_eq!(stream.status(), 200);
        assert_eq!(stream.header("content-type"), "text/event-stream; charset=utf-8");
        assert_eq!(stream.header("cache-control"), "no-store");
        assert_eq!(stream.header("x-accel-buffering"), "no");
        assert!(!stream.header("x-request-id").is_empty());
        let results = stream.results().await;
        assert_eq!((results.len(), &results[0]["data"]), (1, &json!({ "__typename": root })));
    }
}

#[tokio::test]
async fn a_subscription_has_a_result_an_event_and_an_end() {
    let site = Site::start().await;
    let results = subscribe(&site.client, "Ticks").await.results().await;
    assert_eq!(results, [json!({ "data": 1 }), json!({ "data": 2 }), json!({ "data": 3 })]);
}

#[tokio::test]
async fn what_graphql_finds_wrong_is_a_result() {
    let site = Site::start().await;
    for (query, expected) in [("{", "GRAPHQL_PARSE_FAILED"), ("{ nothing }", "GRAPHQL_VALIDATION_FAILED")] {
        let stream = site.client.stream(query, json!({})).await;
        assert_eq!(
            (stream.status(), stream.header("content-type")),
            (200, "text/event-stream; charset=utf-8")
        );
        let id = stream.header("x-request-id").to_owned();
        let results = stream.results().await;
        assert_eq!((results.len(), code(&results[0])), (1, expected), "{query}");
        assert_eq!(results[0]["errors"][0]["extensions"]["requestId"], id);
        assert!(results[0].get("data").is_none());
    }
}

#[tokio::test]
async fn what_http_finds_wrong_is_refused_by_its_status() {
    let site = Site::start().await;
    let malformed = site.client.open_stream(json!([])).await;
    assert_eq!(malformed.status(), 400);
    assert!(malformed.header("content-type").starts_with("application/graphql-response+json"));
    assert_eq!(malformed.refusal().await, "BAD_USER_INPUT");

    let stranger = site.client.with_token("abc");
    let refused = subscribe(&stranger, "Ticks").await;
    assert_eq!((refused.status(), refused.refusal().await.as_str()), (401, "UNAUTHENTICATED"));
}

#[tokio::test]
async fn a_subscription_without_a_stream_is_told_how_to_get_one() {
    let site = Site::start().await;
    let query = "subscription { messageStream(messageId: \"x\") { __typename } }";
    let answer = site.client.gql(query, json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (400, "BAD_USER_INPUT"));
    let message = answer.errors()[0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("text/event-stream") && message.contains("WebSocket"), "{message}");
}

#[tokio::test]
async fn a_panic_is_the_last_result() {
    let site = Site::start().await;
    let results = site.client.stream_named("{ __typename }", "").await.results().await;
    assert_eq!(results.len(), 1);
    let results = site.client.stream_named("query Panics { __typename }", "Panics").await.results().await;
    assert_eq!((results.len(), code(&results[0])), (1, "INTERNAL_SERVER_ERROR"));
    let results = subscribe(&site.client, "FailsLater").await.results().await;
    assert_eq!((&results[0], code(&results[1])), (&json!({ "data": 1 }), "INTERNAL_SERVER_ERROR"));
    assert_eq!(site.running.panics(), 2);
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive_and_goes_on() {
    let site = Site::start_with(|settings| settings.ping = Duration::from_millis(50), Vec::new()).await;
    let mut stream = subscribe(&site.client, "TicksWhenTold").await;
    for _ in 0..3 {
        assert_eq!(stream.next_frame().await, Frame::Comment);
    }
    site.probe.go.add_permits(1);
    assert_eq!(stream.next().await, Frame::Next(json!({ "data": "tick" })));
}

#[tokio::test]
async fn a_drain_breaks_streams_off_so_that_clients_come_back() {
    let site = Site::start().await;
    let mut stream = subscribe(&site.client, "TicksWhenTold").await;
    let client = site.client.clone();
    let query = client.stream_named("query Waits { __typename }", "Waits");
    let drain = async {
        super::probe::take(&site.probe.begun).await;
        let drain = site.running.drain(Duration::from_secs(20));
        tokio::pin!(drain);
        tokio::select! {
            _ = &mut drain => panic!("a query was cut"),
            frame = stream.next() => assert_eq!(frame, Frame::Ended),
        }
        site.probe.go.add_permits(1);
        drain.await
    };
    let (answer, is_clean) = tokio::join!(async { query.await.results().await }, drain);
    assert_eq!((answer.len(), &answer[0]["data"]), (1, &json!({ "__typename": "Query" })));
    assert!(is_clean);
}

#[tokio::test]
async fn an_address_has_so_many_streams_and_gets_places_back() {
    let site = Site::start_with(|settings| settings.sockets_per_address = 2, Vec::new()).await;
    let first = subscribe(&site.client, "TicksWhenTold").await;
    let _second = subscribe(&site.client, "TicksWhenTold").await;
    let third = subscribe(&site.client, "TicksWhenTold").await;
    assert_eq!(third.status(), 429);
    assert!(!third.header("retry-after").is_empty());
    // Streams only: one result needs no place.
    assert_eq!(site.client.stream("{ __typename }", json!({})).await.results().await.len(), 1);
    drop(first);
    drop(subscribe_when_free(&site.client, "TicksWhenTold").await);
    // Known to be complete, so its place is free at once.
    let ticks = subscribe_when_free(&site.client, "Ticks").await;
    ticks.results().await;
    assert_eq!(subscribe(&site.client, "Ticks").await.status(), 200);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_dropped() {
    let change = |settings: &mut Settings| {
        settings.write_stall = Duration::from_millis(200);
        settings.sockets_per_address = 1;
    };
    let site = Site::start_with(change, Vec::new()).await;
    let _stalled = subscribe(&site.client, "Floods").await;
    subscribe_when_free(&site.client, "Ticks").await;
}

/// The application with quick pings, and room for two streams of a user.
async fn app() -> TestApp {
    let limits = "[limits]\nping_seconds = 1\nsockets_per_user = 1\noperations_per_socket = 2";
    TestApp::builder().settings(limits).start().await
}

/// Ends when all answers have.
async fn settle(app: TestApp) {
    let is_settled = eventually(Duration::from_secs(20), || app.app.generations.running() == 0).await;
    assert!(is_settled, "an answer still runs");
    app.close().await;
}

/// Somebody with an answer that says nothing until the gate opens.
struct Listener {
    person: Client,
    message_id: Value,
    gate: Gate,
}

impl Listener {
    async fn join(app: &TestApp) -> Self {
        let (person, gate) = (app.client.sign_up().await, Gate::default());
        app.provider.then(Script::text("Late.", 1).usage(3, 2).gate(&gate));
        let sent = person.send_text("Hi", json!({})).await;
        Self { person, message_id: sent["assistantMessage"]["id"].clone(), gate }
    }

    async fn listen(&self) -> EventStream {
        self.person.stream(WATCH, json!({ "id": self.message_id, "after": 0 })).await
    }

    /// Lets the answer end, for who still listens.
    async fn hear(self, stream: EventStream) {
        self.gate.open();
        let results = stream.results().await;
        assert_eq!(results.last().unwrap()["data"]["messageStream"]["__typename"], "MessageFinished");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_breaks_off_when_its_credential_expires() {
    let app = app().await;
    let listener = Listener::join(&app).await;
    let mut stream = listener.listen().await;
    assert_eq!(stream.next_frame().await, Frame::Comment);
    app.app.clock.advance(chrono::TimeDelta::hours(2));
    assert_eq!(stream.next().await, Frame::Ended);
    let refused = listener.listen().await;
    assert_eq!((refused.status(), refused.refusal().await.as_str()), (401, "TOKEN_EXPIRED"));
    listener.gate.open();
    settle(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_streams_of_the_session_and_no_others() {
    let app = app().await;
    let (leaving, staying) = (Listener::join(&app).await, Listener::join(&app).await);
    let (mut first, other) = (leaving.listen().await, staying.listen().await);
    let out = "mutation { signOut(input: { everywhere: false }) { isAccepted } }";
    leaving.person.gql(out, json!({})).await.data();
    assert_eq!(first.next().await, Frame::Ended);
    staying.hear(other).await;
    leaving.gate.open();
    settle(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_so_many_streams_and_gets_places_back() {
    let app = app().await;
    let (listener, other) = (Listener::join(&app).await, Listener::join(&app).await);
    let (first, second) = (listener.listen().await, listener.listen().await);
    let third = listener.listen().await;
    assert_eq!((third.status(), third.refusal().await.as_str()), (429, "RATE_LIMITED"));
    let stream = other.listen().await;
    assert_eq!(stream.status(), 200);
    other.hear(stream).await;
    drop(first);
    let is_let_in = async { while listener.listen().await.status() != 200 {} };
    tokio::time::timeout(Duration::from_secs(20), is_let_in).await.expect("a free place");
    listener.hear(second).await;
    app.close().await;
}

/// The part of a stream of a message that says where it is.
fn event(frame: &Frame) -> (&str, i64) {
    let Frame::Next(result) = frame else { panic!("{frame:?}") };
    let event = &result["data"]["messageStream"];
    (event["__typename"].as_str().unwrap(), event["sequence"].as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_watched_and_resumed_over_streams() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let gate = Gate::default();
    app.provider.then(Script::pieces(&["one ", "two"]).usage(3, 2).gate_after(1, &gate));
    let sent = person.send_text("Count.", json!({})).await;
    let id = sent["assistantMessage"]["id"].clone();

    let mut stream = person.stream(WATCH, json!({ "id": id, "after": 0 })).await;
    assert_eq!(event(&stream.next().await), ("TextDelta", 1));
    // The client goes; the answer does not mind.
    drop(stream);
    gate.open();
    let rest = person.stream(WATCH, json!({ "id": id, "after": 1 })).await.results().await;
    let rest: Vec<_> = rest.into_iter().map(Frame::Next).collect();
    assert_eq!(event(&rest[0]), ("TextDelta", 2));
    assert_eq!(event(rest.last().unwrap()), ("MessageFinished", 3));
    let Frame::Next(end) = rest.last().unwrap() else { panic!() };
    assert_eq!(end["data"]["messageStream"]["message"]["text"], "one two");

    let late = person.stream(WATCH, json!({ "id": id })).await.results().await;
    assert_eq!(event(&Frame::Next(late[0].clone())).0, "MessageSnapshot");
    app.close().await;
}
