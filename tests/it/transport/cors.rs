//! Calls from pages of other sites: what a browser is told, and whose pages may open a socket.

use loquent::graphql::transport::Settings;
use reqwest::Method;
use serde_json::json;

use super::probe::{Site, configured};
use crate::support::{client::Answer, ws::RawSocket};

const LISTED: &str =
    "[server]\nallowed_origins = [\"https://app.example.com\", \"http://[2001:db8::1]:3000\"]";

/// Pages that only look like one of the list.
const TRICKS: [&str; 30] = [
    "null",
    "*",
    "https://evil.example",
    "https://example.com",
    "https://evil.app.example.com",
    "https://app.example.com.evil.example",
    "https://app.example.como",
    "https://evilapp.example.com",
    "https://app.example.com.",
    "https://app.example.com/",
    "https://app.example.com:443",
    "https://app.example.com:8443",
    "http://app.example.com",
    "https://APP.EXAMPLE.COM",
    "https://app.example.com@evil.example",
    "https://evil.example#https://app.example.com",
    "https://evil.example/?https://app.example.com",
    "https://app.example.com, https://evil.example",
    "https://xn--app-.example.com",
    "https://app%2eexample.com",
    "https://app.example.com https://evil.example",
    "HTTPS://app.example.com",
    "//app.example.com",
    "wss://app.example.com",
    "app.example.com",
    "file://app.example.com",
    "http://[2001:db8:0::1]:3000",
    "http://[::1]:5173",
    "http://localhost:5173",
    "http://127.0.0.1:5173",
];

async fn site(is_dev: bool, file: &str) -> Site {
    let file = file.to_owned();
    Site::start_with(move |settings: &mut Settings| *settings = configured(is_dev, &file), Vec::new()).await
}

/// What a browser asks before a page of this origin may send an operation.
async fn preflight(site: &Site, origin: &str) -> Answer {
    let request = site.client.request(Method::OPTIONS, "/graphql").header("origin", origin);
    let request = request.header("access-control-request-method", "POST");
    site.client.send(request.header("access-control-request-headers", "authorization,content-type")).await
}

async fn operation(site: &Site, origin: &str) -> Answer {
    let request = site.client.post(json!({ "query": "{ __typename }" }).to_string());
    site.client.send(request.header("origin", origin).header("content-type", "application/json")).await
}

/// Opens a socket, or says with which status it was refused.
async fn socket(site: &Site, origin: &str) -> Result<RawSocket, u16> {
    let headers = [("sec-websocket-protocol", "graphql-transport-ws"), ("origin", origin)];
    RawSocket::try_open(&site.client, &headers).await.map_err(|(status, _)| status)
}

fn words<'a>(answer: &'a Answer, header: &str) -> Vec<&'a str> {
    answer.header(header).split(',').map(str::trim).collect()
}

#[tokio::test]
async fn a_listed_page_is_told_what_it_may_send_and_read() {
    let site = site(false, LISTED).await;
    for origin in ["https://app.example.com", "http://[2001:db8::1]:3000"] {
        let asked = preflight(&site, origin).await;
        assert_eq!((asked.status.as_u16(), asked.header("access-control-allow-origin")), (200, origin));
        assert_eq!(words(&asked, "access-control-allow-methods"), ["GET", "POST", "OPTIONS"]);
        assert_eq!(asked.header("access-control-max-age"), "7200");
        let allowed = words(&asked, "access-control-allow-headers");
        for header in [
            "authorization",
            "content-type",
            "accept",
            "prefer",
            "x-request-id",
            "apollo-require-preflight",
            "traceparent",
            "tracestate",
            "baggage",
            "sentry-trace",
            "x-requested-with",
            "cache-control",
        ] {
            assert!(allowed.contains(&header), "{header}: {allowed:?}");
        }
        let answer = operation(&site, origin).await;
        assert_eq!(answer.data()["__typename"], "Query");
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        let exposed = words(&answer, "access-control-expose-headers");
        let expected = [
            "x-request-id",
            "retry-after",
            "ratelimit",
            "ratelimit-policy",
            "www-authenticate",
            "preference-applied",
        ];
        assert_eq!(exposed, expected);
        for answer in [asked, answer] {
            assert_eq!(answer.header("access-control-allow-credentials"), "");
            assert_eq!(words(&answer, "vary"), ["origin"]);
            assert!(!answer.header("x-request-id").is_empty());
        }
        assert!(socket(&site, origin).await.is_ok());
    }
}

#[tokio::test]
async fn a_page_that_only_looks_like_a_listed_one_is_told_nothing() {
    let site = site(false, LISTED).await;
    for origin in TRICKS {
        for answer in [preflight(&site, origin).await, operation(&site, origin).await] {
            assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
            assert_eq!(words(&answer, "vary"), ["origin"], "{origin}");
        }
        assert_eq!(socket(&site, origin).await.err(), Some(403), "{origin}");
    }
    let answer = site.client.gql("{ __typename }", json!({})).await;
    assert_eq!((answer.header("access-control-allow-origin"), answer.header("vary")), ("", "origin"));
}

#[tokio::test]
async fn a_frontend_on_another_port_works_in_its_first_hour() {
    let site = site(true, "").await;
    for origin in
        ["http://localhost:5173", "http://127.0.0.1:8080", "http://[::1]:4200", "http://app.localhost:3001"]
    {
        assert_eq!(preflight(&site, origin).await.header("access-control-allow-origin"), origin);
        let answer = operation(&site, origin).await;
        assert_eq!(answer.data()["__typename"], "Query", "{origin}");
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        assert!(socket(&site, origin).await.is_ok(), "{origin}");
    }
    for origin in
        ["null", "http://192.168.1.7:5173", "http://localhost.evil.example:5173", "https://evil.example"]
    {
        assert_eq!(operation(&site, origin).await.header("access-control-allow-origin"), "", "{origin}");
        assert_eq!(socket(&site, origin).await.err(), Some(403), "{origin}");
    }
}

#[tokio::test]
async fn under_development_a_name_that_was_made_to_point_here_is_refused() {
    let site = site(true, "").await;
    let page = "http://evil.example:3000";
    let request =
        site.client.post(r#"{"query":"{ __typename }"}"#).header("content-type", "application/json");
    let answer = site.client.send(request.header("origin", page).header("host", "evil.example:3000")).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (403, "FORBIDDEN"));
    assert_eq!(answer.header("access-control-allow-origin"), "");
    let headers =
        [("sec-websocket-protocol", "graphql-transport-ws"), ("origin", page), ("host", "evil.example:3000")];
    let refused = RawSocket::try_open(&site.client, &headers).await.err().map(|(status, _)| status);
    assert_eq!(refused, Some(403));
    assert_eq!(site.probe.reached(), 0);
}

#[tokio::test]
async fn the_own_public_origin_needs_no_list() {
    let site = site(false, "[server]\npublic_url = \"https://api.example.com/base\"").await;
    let own = "https://api.example.com";
    assert_eq!(operation(&site, own).await.header("access-control-allow-origin"), own);
    assert!(socket(&site, own).await.is_ok());
    for origin in ["http://api.example.com", "https://api.example.com:8443", "https://api.example.com/base"] {
        assert_eq!(operation(&site, origin).await.header("access-control-allow-origin"), "", "{origin}");
        assert_eq!(socket(&site, origin).await.err(), Some(403), "{origin}");
    }
}
