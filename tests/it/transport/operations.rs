//! Operations over a socket: results, failures, bounds and fairness.

use std::time::Duration;

use serde_json::{Value, json};

use super::probe::{Site, take};
use crate::support::ws::{Event, RawSocket, Received, Socket, Subscription};

/// Runs an operation under a name that the probe knows; the document itself fits the schema.
async fn subscribe(socket: &Socket, name: &str) -> Subscription {
    let query = format!(
        "subscription {name} {{ messageStream(messageId: \"msg_00000000000000000000000001\") {{ __typename }} }}"
    );
    socket.subscribe_named(&query, name).await
}

async fn query(socket: &Socket, name: &str) -> Subscription {
    socket.subscribe_named(&format!("query {name} {{ __typename }}"), name).await
}

fn code(event: &Event) -> &Value {
    match event {
        Event::Error(errors) => &errors[0]["extensions"]["code"],
        _ => panic!("{event:?}"),
    }
}

#[tokio::test]
async fn a_subscription_sends_its_results_and_completes() {
    let site = Site::start().await;
    let socket = Socket::connect(&site.client).await;
    let mut ticks = subscribe(&socket, "Ticks").await;
    for n in 1..=3 {
        assert_eq!(ticks.next().await, Event::Next(json!({ "data": n })));
    }
    assert_eq!(ticks.next().await, Event::Complete);
}

#[tokio::test]
async fn queries_and_mutations_run_over_a_socket_too() {
    let site = Site::start().await;
    let socket = Socket::connect(&site.client).await;
    for (document, root) in [("{ __typename }", "Query"), ("mutation { __typename }", "Mutation")] {
        let mut operation = socket.subscribe(document, json!({})).await;
        let Event::Next(result) = operation.next().await else { panic!("{document}") };
        assert_eq!(result["data"], json!({ "__typename": root }));
        assert_eq!(operation.next().await, Event::Complete);
    }
}

#[tokio::test]
async fn failures_before_execution_are_errors_and_those_of_fields_are_results() {
    let site = Site::start().await;
    let socket = Socket::connect(&site.client).await;
    let mut unknown = socket.subscribe("{ nothing }", json!({})).await;
    assert_eq!(code(&unknown.next().await), "GRAPHQL_VALIDATION_FAILED");
    let mut closed = subscribe(&socket, "NeedsSomebody").await;
    assert_eq!(code(&closed.next().await), "UNAUTHENTICATED");
    let query = "{ __typename message(id: \"msg_00000000000000000000000001\") { id } }";
    let mut field = socket.subscribe(query, json!({})).await;
    let Event::Next(result) = field.next().await else { panic!() };
    assert_eq!(result["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    assert!(result["errors"][0]["extensions"]["requestId"].is_string());
    assert_eq!(field.next().await, Event::Complete);
}

#[tokio::test]
async fn a_first_event_that_fails_below_its_root_is_an_event_and_ends_nothing() {
    let site = Site::start().await;
    let socket = Socket::connect(&site.client).await;
    let mut events = subscribe(&socket, "FailsBelow").await;
    let Event::Next(first) = events.next().await else { panic!() };
    assert_eq!((&first["data"], first["errors"][0]["path"][1].as_str()), (&Value::Null, Some("event")));
    assert_eq!(events.next().await, Event::Next(json!({ "data": 1 })));
}

#[tokio::test]
async fn a_panic_ends_its_operation_and_neither_the_socket_nor_the_process() {
    let site = Site::start().await;
    let socket = Socket::connect(&site.client).await;
    assert_eq!(code(&query(&socket, "Panics").await.next().await), "INTERNAL_SERVER_ERROR");
    let mut later = subscribe(&socket, "FailsLater").await;
    assert_eq!(later.next().await, Event::Next(json!({ "data": 1 })));
    assert_eq!(code(&later.next().await), "INTERNAL_SERVER_ERROR");
    assert_eq!(site.running.panics(), 2);
    assert!(matches!(query(&socket, "Works").await.next().await, Event::Next(_)));
}

#[tokio::test]
async fn an_operation_that_takes_too_long_is_ended() {
    let site = Site::start_with(|settings| settings.operation = Duration::from_millis(50), Vec::new()).await;
    let socket = Socket::connect(&site.client).await;
    assert_eq!(code(&query(&socket, "Hangs").await.next().await), "TIMEOUT");
}

#[tokio::test]
async fn a_socket_has_so_many_operations_and_gets_places_back() {
    let site = Site::start_with(|settings| settings.operations_per_socket = 3, Vec::new()).await;
    let socket = Socket::connect(&site.client).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(query(&socket, "Waits").await);
    }
    assert_eq!(code(&query(&socket, "Works").await.next().await), "RATE_LIMITED");
    site.probe.go.add_permits(3);
    for operation in &mut waiting {
        assert!(matches!(operation.next().await, Event::Next(_)));
        assert_eq!(operation.next().await, Event::Complete);
        // Known to be complete, so its place is free at once.
        let mut next = query(&socket, "Works").await;
        assert!(matches!(next.next().await, Event::Next(_)));
        assert_eq!(next.next().await, Event::Complete);
    }
}

#[tokio::test]
async fn a_mutation_keeps_its_place_until_it_has_ended_whatever_the_client_says() {
    let site = Site::start_with(|settings| settings.operations_per_socket = 1, Vec::new()).await;
    let socket = Socket::connect(&site.client).await;
    let mutation = socket.subscribe_named("mutation Waits { __typename }", "Waits").await;
    take(&site.probe.begun).await;
    drop(mutation);
    assert_eq!(code(&query(&socket, "Works").await.next().await), "RATE_LIMITED");
    site.probe.go.add_permits(1);
    take(&site.probe.done).await;
}

#[tokio::test]
async fn a_busy_operation_does_not_starve_another() {
    let site = Site::start().await;
    let socket = Socket::connect(&site.client).await;
    let mut floods = Vec::new();
    for _ in 0..3 {
        floods.push(subscribe(&socket, "Floods").await);
    }
    let mut told = subscribe(&socket, "TicksWhenTold").await;
    for flood in &mut floods {
        assert!(matches!(flood.next().await, Event::Next(_)));
    }
    for _ in 0..20 {
        site.probe.go.add_permits(1);
        assert_eq!(told.next().await, Event::Next(json!({ "data": "tick" })));
    }
}

/// Fills a socket until the server can write no more, with an operation begun before.
async fn stall(site: &Site) -> RawSocket {
    let mut socket = RawSocket::open(&site.client).await;
    socket.init(None).await;
    let waits = json!({ "query": "query Waits { __typename }", "operationName": "Waits" });
    socket.send(json!({ "id": "w", "type": "subscribe", "payload": waits })).await;
    take(&site.probe.begun).await;
    let document =
        "subscription Floods { messageStream(messageId: \"msg_00000000000000000000000001\") { __typename } }";
    let floods = json!({ "query": document, "operationName": "Floods" });
    socket.send(json!({ "id": "f", "type": "subscribe", "payload": floods })).await;
    assert!(matches!(socket.receive().await, Received::Json(_)));
    socket
}

#[tokio::test]
async fn a_client_that_does_not_read_stalls_its_socket_and_no_resolver() {
    let site = Site::start().await;
    let socket = stall(&site).await;
    site.probe.go.add_permits(1);
    take(&site.probe.done).await;
    drop(socket);
    assert!(site.running.drain(Duration::from_secs(20)).await);
}

#[tokio::test]
async fn a_socket_that_takes_nothing_is_dropped() {
    let change = |settings: &mut loquent::graphql::transport::Settings| {
        settings.write_stall = Duration::from_millis(200);
        settings.sockets_per_address = 1;
    };
    let site = Site::start_with(change, Vec::new()).await;
    let _socket = stall(&site).await;
    let protocol = [("sec-websocket-protocol", "graphql-transport-ws")];
    let is_dropped = async {
        while RawSocket::try_open(&site.client, &protocol).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), is_dropped).await.expect("the place is free again");
}
