//! Requests that must not reach the engine, over both transports alike.

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::probe::Site;
use crate::support::ws::{RawSocket, Received};

/// Name, payload of the request, code of the refusal.
fn corpus() -> Vec<(&'static str, Value, &'static str)> {
    let doubling = (0..60).fold("{...F0}".to_owned(), |document, n| {
        format!("{document} fragment F{n} on Query {{...F{next} ...F{next}}}", next = n + 1)
    });
    let few_doubling = (0..40).fold("{...F0}".to_owned(), |document, n| {
        format!("{document} fragment F{n} on Query {{...F{next} ...F{next}}}", next = n + 1)
    }) + " fragment F40 on Query {__typename}";
    let aliases = (0..10_000).map(|n| format!("a{n}:x")).collect::<Vec<_>>().join(" ");
    let many_aliases = (0..5_000).map(|n| format!("a{n}:x")).collect::<Vec<_>>().join(" ");
    let deep_variables = (0..100).fold(json!(1), |value, _| json!([value]));
    vec![
        ("60 doubling fragments", json!({ "query": doubling }), "QUERY_TOO_EXPENSIVE"),
        ("40 doubling fragments", json!({ "query": few_doubling }), "QUERY_TOO_EXPENSIVE"),
        ("10,000 aliases", json!({ "query": format!("{{{aliases}}}") }), "QUERY_TOO_EXPENSIVE"),
        ("5,000 aliases", json!({ "query": format!("{{{many_aliases}}}") }), "QUERY_TOO_EXPENSIVE"),
        (
            "depth 500",
            json!({ "query": format!("{}{}", "{a".repeat(500), "}".repeat(500)) }),
            "QUERY_TOO_DEEP",
        ),
        ("a broken document", json!({ "query": "{" }), "GRAPHQL_PARSE_FAILED"),
        ("no operation", json!({ "query": "fragment F on Query {__typename}" }), "GRAPHQL_VALIDATION_FAILED"),
        ("an unknown name", json!({ "query": "{a}", "operationName": "X" }), "BAD_USER_INPUT"),
        ("deep variables", json!({ "query": "{a}", "variables": { "v": deep_variables } }), "BAD_USER_INPUT"),
        ("no document", json!({}), "BAD_USER_INPUT"),
        ("variables of no shape", json!({ "query": "{a}", "variables": [] }), "BAD_USER_INPUT"),
    ]
}

#[tokio::test]
async fn each_is_refused_over_post_with_its_code_before_the_engine_runs() {
    let site = Site::start().await;
    for (name, payload, code) in corpus() {
        let request = site.client.post(payload.to_string()).header(CONTENT_TYPE, "application/json");
        let answer = site.client.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, code), "{name}");
        assert!(answer.body.get("data").is_none(), "{name}");
        assert_eq!(answer.errors()[0]["extensions"]["requestId"], answer.header("x-request-id"), "{name}");
    }
    assert_eq!(site.probe.parsed(), 0);
}

#[tokio::test]
async fn each_is_refused_over_a_socket_with_its_code_before_the_engine_runs() {
    let site = Site::start().await;
    let mut socket = RawSocket::open(&site.client).await;
    socket.init(None).await;
    for (name, payload, code) in corpus() {
        if payload.to_string().len() > 60 * 1024 {
            continue; // Too large for a frame: the next test.
        }
        socket.send(json!({ "id": name, "type": "subscribe", "payload": payload })).await;
        let Received::Json(message) = socket.receive().await else { panic!("{name}") };
        assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!(name)));
        assert_eq!(message["payload"][0]["extensions"]["code"], code, "{name}");
        assert!(message["payload"][0]["extensions"]["requestId"].is_string(), "{name}");
    }
    assert_eq!(site.probe.parsed(), 0);
}

#[tokio::test]
async fn an_excess_says_what_was_measured_and_allowed() {
    let site = Site::start().await;
    let answer = site.client.gql(&format!("{}{}", "{a".repeat(500), "}".repeat(500)), json!({})).await;
    let extensions = &answer.errors()[0]["extensions"];
    assert!(extensions["measured"].as_u64() > extensions["maximum"].as_u64(), "{extensions}");
    assert!(answer.errors()[0]["locations"][0]["line"].is_u64());
}

#[tokio::test]
async fn a_body_of_8_mib_is_refused_without_being_read() {
    let site = Site::start().await;
    let body = json!({ "query": "{__typename}", "x": "x".repeat(8 << 20) }).to_string();
    let request = site.client.post(body).header(CONTENT_TYPE, "application/json");
    let answer = site.client.send(request).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (413, "BAD_USER_INPUT"));
    assert_eq!(site.probe.parsed(), 0);
}

#[tokio::test]
async fn a_body_of_no_announced_length_is_cut_at_the_limit() {
    let site = Site::start().await;
    let chunks = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 64 * 1024]));
    let chunks = futures_util::StreamExt::take(chunks, 17);
    let request =
        site.client.post(reqwest::Body::wrap_stream(chunks)).header(CONTENT_TYPE, "application/json");
    let answer = site.client.send(request).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (413, "BAD_USER_INPUT"));
}

#[tokio::test]
async fn invalid_utf_8_and_invalid_json_are_refused() {
    let site = Site::start().await;
    for body in [b"{\"query\":\"{\xff}\"}".as_slice(), b"{\"query\":", b"[]", b""] {
        let request = site.client.post(body.to_vec()).header(CONTENT_TYPE, "application/json");
        let answer = site.client.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, "BAD_USER_INPUT"));
    }
    assert_eq!(site.probe.parsed(), 0);
}
