//! Requests by address: who is counted, and what is answered to who asks too often.

use std::time::Duration;

use loquent::{graphql::rates::Rates, platform::postgres::rate_limits::Limit};
use reqwest::Method;
use serde_json::json;

use crate::support::{
    app::{Builder, TestApp},
    client::{Answer, Client},
    rows::{execute, row},
    ws::RawSocket,
};

const QUERY: &str = r#"{"query":"{ __typename }"}"#;

/// Five requests within two seconds.
fn strict() -> Builder {
    let requests = Limit::sliding(5, Duration::from_secs(2));
    TestApp::builder()
        .outside_development()
        .rates(Rates { requests, points: Limit::bucket(10_000, Duration::from_secs(60)) })
}

async fn send(client: &Client, headers: &[(&str, &str)]) -> Answer {
    let request = client.post(QUERY).header("content-type", "application/json");
    client.send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

fn seconds(answer: &Answer) -> u64 {
    answer.header("retry-after").parse().unwrap_or_else(|_| panic!("{answer:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_when_to_come_back_and_may() {
    let app = strict().start().await;
    for left in (0..5).rev() {
        let answer = send(&app.client, &[]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let limits: Vec<&str> = answer.header("ratelimit").split(", ").collect();
        assert!(limits[0].starts_with(&format!("\"requests\";r={left};t=")), "{limits:?}");
        assert!(limits[1].starts_with("\"points\";r=9"), "{limits:?}");
        assert_eq!(
            answer.header("ratelimit-policy"),
            "\"requests\";q=5;w=2;qu=\"requests\", \"points\";q=10000;w=60;qu=\"points\""
        );
    }
    // All that the API takes is counted alike, and refused with a status whatever is accepted.
    let begun = std::time::Instant::now();
    let refused = send(&app.client, &[]).await;
    let wait = seconds(&refused);
    assert!((1..=4).contains(&wait), "{refused:?}");
    for answer in [
        refused,
        send(&app.client, &[("accept", "application/json")]).await,
        send(&app.client, &[("accept", "text/event-stream")]).await,
        app.client.send(app.client.request(Method::GET, "/graphql?query={__typename}")).await,
        app.client.send(app.client.request(Method::DELETE, "/graphql")).await,
    ] {
        assert_eq!((answer.status.as_u16(), answer.code()), (429, "RATE_LIMITED"), "{answer:?}");
        let extensions = &answer.errors()[0]["extensions"];
        assert_eq!(extensions["retryAfterSeconds"], seconds(&answer));
        assert_eq!(answer.header("ratelimit"), format!("\"requests\";r=0;t={}", seconds(&answer)));
        assert!(extensions["requestId"].is_string() && extensions["docUrl"].is_string());
    }
    let headers = [("sec-websocket-protocol", "graphql-transport-ws")];
    let refused = RawSocket::try_open(&app.client, &headers).await.err().unwrap();
    assert_eq!((refused.0, &refused.1["errors"][0]["extensions"]["code"]), (429, &json!("RATE_LIMITED")));
    // What is no part of the API is not.
    for path in ["/livez", "/readyz", "/docs/errors"] {
        let answer = app.client.send(app.client.request(Method::GET, path)).await;
        assert_eq!((answer.status.as_u16(), answer.header("ratelimit")), (200, ""), "{path}");
    }
    // A second too early is too early, and the time that was said is not.
    tokio::time::sleep_until((begun + Duration::from_millis(wait * 1000 - 1100)).into()).await;
    assert_eq!(send(&app.client, &[]).await.status, 429);
    tokio::time::sleep_until((begun + Duration::from_secs(wait)).into()).await;
    assert_eq!(send(&app.client, &[]).await.status, 200);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_that_of_the_client_behind_a_trusted_proxy_and_a_network_of_version_6() {
    let app = strict().settings("[server]\ntrusted_proxies = [\"127.0.0.0/8\"]").start().await;
    for (address, expected) in [
        ("203.0.113.7", 200),
        ("2001:db8:0:1::1", 200),
        // Of the same network as the one before.
        ("2001:db8:0:1::2", 429),
        ("2001:db8:0:2::1", 200),
        // What the client wrote itself stands left of what the proxy saw.
        ("203.0.113.8, 203.0.113.7", 429),
        ("203.0.113.8", 200),
    ] {
        for n in 0..5 {
            let answer = send(&app.client, &[("x-forwarded-for", address)]).await;
            assert_eq!(answer.status, expected, "{address} {n}");
        }
    }
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_counted_on_the_own_machine_in_development() {
    let requests = Limit::sliding(5, Duration::from_secs(60));
    let app = TestApp::builder().rates(Rates { requests, points: requests }).start().await;
    for _ in 0..20 {
        let answer = send(&app.client, &[]).await;
        assert_eq!((answer.status.as_u16(), answer.header("ratelimit")), (200, ""));
    }
    assert_eq!(row(&app.db.url, "SELECT count(*) AS n FROM rate_limits").await["n"], 0);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_counted_is_let_through_and_a_password_is_not() {
    const TOKEN: &str = "Nq4Jw8TzLc2VbXy7";
    let app = strict().settings(&format!("[server]\nmetrics_token = \"{TOKEN}\"")).start().await;
    let person = app.client.sign_up().await;
    execute(&app.db.url, "ALTER TABLE rate_limits RENAME TO gone").await;
    for _ in 0..20 {
        let answer = person.gql("{ viewer { rateLimit { remaining } } }", json!({})).await;
        assert_eq!(answer.data()["viewer"]["rateLimit"]["remaining"], 9998);
        assert_eq!(answer.header("ratelimit"), "");
    }
    let metrics = app.client.with_token(TOKEN).request(Method::GET, "/metrics").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for limit in ["requests", "points"] {
        let name = format!("loquent_rate_limit_bypasses_total{{limit=\"{limit}\"}} ");
        let count: u64 = metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap();
        assert!(count >= 20, "{limit}: {count}");
    }
    for (query, field) in [
        (
            "mutation { signIn(input: { email: \"a@example.com\", password: \"x\" }) { viewer { user { id } } } }",
            "signIn",
        ),
        (
            "mutation { refreshSession(input: { refreshToken: \"x\" }) { viewer { user { id } } } }",
            "refreshSession",
        ),
    ] {
        let answer = app.client.gql(query, json!({})).await;
        assert_eq!((answer.code(), &answer.body["data"][field]), ("SERVICE_UNAVAILABLE", &json!(null)));
    }
    execute(&app.db.url, "ALTER TABLE gone RENAME TO rate_limits").await;
    app.close().await;
}
