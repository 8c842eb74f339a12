//! `GET /graphql`: queries in the address.

use reqwest::{Method, Url, header::ACCEPT};
use serde_json::{Value, json};

use super::probe::{Site, configured};
use crate::support::client::Answer;

/// Asks with the fields in the address, and with leave.
async fn get(site: &Site, fields: &[(&str, &str)]) -> Answer {
    send(site, Method::GET, fields, &[("graphql-require-preflight", "1")]).await
}

async fn send(site: &Site, method: Method, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
    let url = Url::parse_with_params("http://x/graphql", fields).unwrap();
    let path = format!("{}?{}", url.path(), url.query().unwrap_or_default());
    let mut request = site.client.request(method, &path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    site.client.send(request).await
}

#[tokio::test]
async fn a_query_in_the_address_is_answered_and_not_stored() {
    let site = Site::start().await;
    let answer = get(&site, &[("query", "{ __typename }")]).await;
    assert_eq!((answer.status.as_u16(), answer.data()), (200, &json!({ "__typename": "Query" })));
    assert_eq!(answer.header("cache-control"), "no-store");

    let query = "query A { a: __typename } query B($name: String!) { __type(name: $name) { name } }";
    let fields = [
        ("query", query),
        ("operationName", "B"),
        ("variables", r#"{"name":"Query"}"#),
        ("extensions", r#"{"any":1}"#),
        ("utm_source", "mail"),
    ];
    let answer = get(&site, &fields).await;
    assert_eq!(answer.data()["__type"]["name"], "Query");

    let fields = [("query", "{ __typename }"), ("operationName", ""), ("variables", ""), ("extensions", "")];
    assert_eq!(get(&site, &fields).await.data()["__typename"], "Query");
}

#[tokio::test]
async fn a_mutation_is_not_carried_and_neither_is_a_subscription_without_a_stream() {
    let site = Site::start().await;
    let both = "query Q { __typename } mutation M { __typename }";
    for accept in ["application/graphql-response+json", "application/json", "text/event-stream"] {
        for fields in
            [&[("query", "mutation { __typename }")][..], &[("query", both), ("operationName", "M")]]
        {
            let headers = [("apollo-require-preflight", "1"), (ACCEPT.as_str(), accept)];
            let answer = send(&site, Method::GET, fields, &headers).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code()),
                (405, "BAD_USER_INPUT"),
                "{accept} {fields:?}"
            );
            assert_eq!(answer.header("allow"), "POST");
        }
    }
    let stream =
        "subscription { messageStream(messageId: \"msg_00000000000000000000000001\") { __typename } }";
    let answer = get(&site, &[("query", stream)]).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (400, "BAD_USER_INPUT"));
    assert_eq!(site.probe.reached(), 0);
    let answer = get(&site, &[("query", both), ("operationName", "Q")]).await;
    assert_eq!(answer.data()["__typename"], "Query");
}

#[tokio::test]
async fn an_address_that_says_it_wrongly_is_refused() {
    let site = Site::start().await;
    for fields in [
        &[][..],
        &[("query", "")],
        &[("query", "{"), ("variables", "{}")],
        &[("query", "{__typename}"), ("query", "{__typename}")],
        &[("query", "{__typename}"), ("variables", "{}"), ("variables", "{}")],
        &[("query", "{__typename}"), ("operationName", "A"), ("operationName", "B")],
        &[("query", "{__typename}"), ("variables", "{")],
        &[("query", "{__typename}"), ("variables", "[]")],
        &[("query", "{__typename}"), ("variables", "\"{}\"")],
        &[("query", "{__typename}"), ("extensions", "1")],
    ] {
        let answer = get(&site, fields).await;
        assert_eq!((answer.status.as_u16(), answer.errors().len()), (400, 1), "{fields:?}");
        assert!(answer.body.get("data").is_none());
    }
    assert_eq!(site.probe.reached(), 0);
}

#[tokio::test]
async fn a_plain_get_of_a_browser_is_refused_and_told_how_to_ask() {
    let site = Site::start().await;
    let fields = [("query", "{ __typename }")];
    for header in [
        ("accept", "application/graphql-response+json"),
        ("accept", "application/json"),
        ("cookie", "session=1"),
        ("content-type", "text/plain"),
        ("graphql-require-preflight", ""),
    ] {
        let answer = send(&site, Method::GET, &fields, &[header]).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, "BAD_USER_INPUT"), "{header:?}");
        let message = answer.errors()[0]["message"].as_str().unwrap();
        for way in ["GraphQL-Require-Preflight: 1", "application/json", "bearer token", "allowed_origins"] {
            assert!(message.contains(way), "{message}");
        }
    }
    assert_eq!(site.probe.reached(), 0);
    for header in [
        ("GraphQL-Require-Preflight", "1"),
        ("Apollo-Require-Preflight", "1"),
        ("X-Apollo-Operation-Name", "Any"),
        ("Content-Type", "application/json"),
    ] {
        assert_eq!(send(&site, Method::GET, &fields, &[header]).await.status.as_u16(), 200, "{header:?}");
    }
}

#[tokio::test]
async fn a_credential_in_the_address_is_not_read_and_one_in_the_header_is() {
    let site = Site::start().await;
    let token = format!("Bearer {}", site.token());
    let fields = [("query", "{ __typename }"), ("authorization", &token), ("access_token", &token)];
    assert_eq!(get(&site, &fields).await.data()["__typename"], "Query");
    // The database, being nowhere, cannot say whose it is.
    let answer = send(&site, Method::GET, &fields[..1], &[("authorization", &token)]).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "SERVICE_UNAVAILABLE"));
}

#[tokio::test]
async fn other_methods_are_told_the_right_ones() {
    let site = Site::start().await;
    let fields = [("query", "{ __typename }")];
    for method in ["PUT", "DELETE", "PATCH", "HEAD", "TRACE", "QUERY"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let is_silent = method == Method::HEAD;
        let answer = send(&site, method, &fields, &[("graphql-require-preflight", "1")]).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET, POST"));
        assert_eq!(answer.body == Value::Null, is_silent);
    }
    assert_eq!(site.probe.reached(), 0);
}

#[tokio::test]
async fn a_page_that_may_call_needs_no_leave() {
    let listed = configured(false, "[server]\nallowed_origins = [\"https://app.example.com\"]");
    let site = Site::start_with(|settings| *settings = listed, Vec::new()).await;
    for (headers, status) in [
        (&[("origin", "https://app.example.com")][..], 200),
        (&[("sec-fetch-site", "same-origin")], 200),
        (&[("origin", "https://app.example.com.evil.example")], 400),
        (&[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")], 400),
        (&[("origin", "null")], 400),
        (&[("sec-fetch-site", "cross-site")], 400),
    ] {
        let answer = send(&site, Method::GET, &[("query", "{ __typename }")], headers).await;
        assert_eq!(answer.status.as_u16(), status, "{headers:?}");
    }
}
