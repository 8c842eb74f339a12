//! `POST /graphql`, and what else the server answers over HTTP.

use std::time::Duration;

use loquent::server::Check;
use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::probe::{Site, take};
use crate::support::client::Answer;

async fn post(site: &Site, body: Value, headers: &[(&'static str, &str)]) -> Answer {
    let mut request = site.client.post(body.to_string()).header(CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    site.client.send(request).await
}

fn named(name: &str) -> Value {
    json!({ "query": format!("query {name} {{ __typename }}"), "operationName": name })
}

#[tokio::test]
async fn a_field_that_fails_is_part_of_an_answer() {
    let site = Site::start().await;
    let query = "{ __typename message(id: \"msg_00000000000000000000000001\") { id } }";
    let answer = site.client.gql(query, json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (200, "UNAUTHENTICATED"));
    assert!(answer.body.get("data").is_some());
}

#[tokio::test]
async fn other_content_types_are_not_executed() {
    let site = Site::start().await;
    let body = json!({ "query": "{ __typename }" }).to_string();
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=x"),
        Some("application/jsonp"),
        Some("application/json; charset=utf-16"),
    ] {
        let mut request = site.client.post(body.clone());
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let answer = site.client.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (415, "BAD_USER_INPUT"), "{content_type:?}");
    }
    assert_eq!(site.probe.reached(), 0);
}

#[tokio::test]
async fn other_paths_are_refused_in_the_shape_of_graphql() {
    let site = Site::start().await;
    let answer = site.client.send(site.client.request(Method::GET, "/nowhere")).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (404, "BAD_USER_INPUT"));
    assert_eq!(site.probe.reached(), 0);
}

#[tokio::test]
async fn a_subscription_is_told_where_to_go() {
    let site = Site::start().await;
    let query =
        "subscription { messageStream(messageId: \"msg_00000000000000000000000001\") { __typename } }";
    let answer = site.client.gql(query, json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (400, "BAD_USER_INPUT"));
    assert!(answer.errors()[0]["message"].as_str().unwrap().contains("WebSocket"));
}

#[tokio::test]
async fn bad_credentials_are_refused_before_execution() {
    let site = Site::start().await;
    let send = async |value: &str| {
        post(&site, json!({ "query": "{ __typename }" }), &[("authorization", value)]).await
    };
    for value in ["Bearer abc", "Basic abc", "abc", "Bearer "] {
        let answer = send(value).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (401, "UNAUTHENTICATED"), "{value}");
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{value}");
    }
    let token = format!("Bearer {}", site.token());
    let answer = send(&token).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "SERVICE_UNAVAILABLE"));
    assert!(!answer.header("retry-after").is_empty());
    site.clock.advance(chrono::TimeDelta::hours(2));
    let answer = send(&token).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (401, "TOKEN_EXPIRED"));
    assert_eq!(site.probe.executed(), 0);
}

#[tokio::test]
async fn a_token_in_the_address_is_not_read() {
    let site = Site::start().await;
    let path = format!("/graphql?access_token={}&authorization=Bearer%20x", site.token());
    let request = site.client.request(Method::POST, &path).header(CONTENT_TYPE, "application/json");
    let answer = site.client.send(request.body(r#"{"query":"{__typename}"}"#)).await;
    assert_eq!(answer.data()["__typename"], "Query");
}

#[tokio::test]
async fn a_request_keeps_its_id_if_it_is_harmless() {
    let site = Site::start().await;
    let longest = "x".repeat(64);
    for id in ["abc-DEF_1.2", "x", &longest] {
        let answer = post(&site, json!({ "query": "{" }), &[("x-request-id", id)]).await;
        assert_eq!(answer.header("x-request-id"), id);
        assert_eq!(answer.errors()[0]["extensions"]["requestId"], id);
    }
    let long = "x".repeat(65);
    for id in ["", "a b", "a\"b", "a/b", &long] {
        let answer = post(&site, json!({ "query": "{" }), &[("x-request-id", id)]).await;
        let given = answer.header("x-request-id");
        assert!(given.len() == 32 && given.bytes().all(|byte| byte.is_ascii_hexdigit()), "{given}");
        assert_eq!(answer.errors()[0]["extensions"]["requestId"], given);
    }
}

#[tokio::test]
async fn a_panic_is_one_failed_operation_and_the_process_lives() {
    let site = Site::start().await;
    for kind in ["query", "mutation"] {
        let body = json!({ "query": format!("{kind} Panics {{ __typename }}"), "operationName": "Panics" });
        let answer = post(&site, body, &[]).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (500, "INTERNAL_SERVER_ERROR"), "{kind}");
        assert!(!answer.body.to_string().contains("of a test"));
    }
    assert_eq!(site.running.panics(), 2);
    assert_eq!(post(&site, named("Works"), &[]).await.data()["__typename"], "Query");
}

#[tokio::test]
async fn an_operation_that_takes_too_long_is_ended() {
    let site = Site::start_with(|settings| settings.operation = Duration::from_millis(50), Vec::new()).await;
    let answer = post(&site, named("Hangs"), &[]).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (504, "TIMEOUT"));
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let site = Site::start_with(|settings| settings.body = Duration::from_millis(50), Vec::new()).await;
    let mut stream = TcpStream::connect(site.running.address).await.unwrap();
    let head =
        "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn neither_a_slow_head_nor_an_idle_connection_is_waited_for() {
    let site = Site::start_with(|settings| settings.head = Duration::from_millis(50), Vec::new()).await;
    for sent in ["", "GET /livez HTTP/1.1\r\nHo", "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut stream = TcpStream::connect(site.running.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the end in time").unwrap();
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_cuts_no_mutation() {
    let site = Site::start().await;
    let body = r#"{"query":"mutation Waits {__typename}","operationName":"Waits"}"#;
    let mut stream = TcpStream::connect(site.running.address).await.unwrap();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    take(&site.probe.begun).await;
    drop(stream);
    // The request itself has ended once the server is drained; its mutation has not.
    assert!(site.running.drain(Duration::from_secs(10)).await);
    site.probe.go.add_permits(1);
    take(&site.probe.done).await;
    assert!(site.tasks.wait(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn an_operation_with_thousands_of_errors_answers_with_few() {
    let site = Site::start().await;
    let fields = (0..500).map(|n| format!("x{n}")).collect::<Vec<_>>().join(" ");
    let query = format!("{{ __type(name: \"Query\") {{ {fields} }} }}");
    let answer = site.client.gql(&query, json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.errors().len()), (400, 10));
}

#[tokio::test]
async fn every_answer_binds_the_browser() {
    let site = Site::start().await;
    for path in ["/livez", "/nowhere", "/graphql", "/graphiql"] {
        let answer = site.client.send(site.client.request(Method::GET, path)).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        assert!(!answer.header("cache-control").is_empty(), "{path}");
        assert!(!answer.header("x-request-id").is_empty(), "{path}");
    }
    let answer = site.client.send(site.client.request(Method::GET, "/")).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (307, "/graphiql"));
}

#[tokio::test]
async fn readiness_says_what_is_wrong_and_does_not_wait_for_it() {
    let checks = vec![Check::new("good", || async { true }), Check::new("stuck", std::future::pending)];
    let site = Site::start_with(|_| {}, checks).await;
    let answer = site.client.send(site.client.request(Method::GET, "/readyz")).await;
    assert_eq!(answer.status.as_u16(), 503);
    let parts = json!({ "good": true, "stuck": false, "running": true });
    assert_eq!(answer.body, json!({ "isReady": false, "parts": parts }));
    let answer = site.client.send(site.client.request(Method::GET, "/livez")).await;
    assert_eq!(answer.status.as_u16(), 200);

    let site = Site::start().await;
    let readyz = async || site.client.send(site.client.request(Method::GET, "/readyz")).await.status.as_u16();
    assert_eq!(readyz().await, 200);
    site.tasks.draining().cancel();
    assert_eq!(readyz().await, 503);
}
