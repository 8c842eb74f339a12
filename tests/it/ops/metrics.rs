use std::collections::BTreeMap;

use loquent::{
    config::{ConfigFile, Flags, Sources},
    platform::metrics::names,
};
use reqwest::Method;
use serde_json::json;

use crate::support::{
    app::TestApp,
    binary::{Binary, Launch},
    client::Client,
    db::TestDb,
    provider::{Script, ScriptedProvider},
    ws::RawSocket,
};

/// What a process counts, by metric with labels as they are written.
pub async fn scrape(client: &Client) -> BTreeMap<String, f64> {
    let text = client.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
        })
        .collect()
}

#[tokio::test]
async fn every_metric_is_described_and_documented() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md")).unwrap();
    for metric in names::ALL {
        let labels: String = metric.labels.iter().map(|label| format!("`{label}` ")).collect();
        let kind = format!("{:?}", metric.kind).to_lowercase();
        let row = format!("| `{}` | {kind} | {} | {} |", metric.name, labels.trim_end(), metric.help);
        assert!(page.contains(&row), "docs/OPERATIONS.md lacks this row:\n{row}");
        let is_total = metric.name.ends_with("_total");
        assert_eq!(is_total, kind == "counter", "{}", metric.name);
    }
}

#[tokio::test]
async fn what_happens_is_counted_under_its_name_kind_and_code() {
    let (db, provider) = (TestDb::create().await, ScriptedProvider::start().await);
    let binary =
        Binary::start(&Launch { database_url: &db.url, provider: provider.base_url(), settings: "" });
    let client = &binary.client;
    let person = client.sign_up().await;
    let document = "query Known { __typename }";
    for _ in 0..3 {
        person.gql_named(document, "Known").await.data();
    }
    person.gql("query InTheDocument { __typename }", json!({})).await.data();
    client.gql_named("query Wrong { conversation(id: \"x\") { id } }", "Wrong").await;
    client.gql("{ this is ] no document", json!({})).await;
    provider.then(Script::text("one two three", 3).usage(10, 3));
    let sent = person.send_text("Hello", json!({})).await;
    person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
    provider.then(Script::status(500));
    let sent = person.send_text("Hello", json!({})).await;
    person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
    let mut socket = RawSocket::open(client).await;
    socket.send(json!({ "type": "no such type" })).await;
    assert_eq!(socket.close_code().await, 4400);

    let counted = scrape(client).await;
    let value = |name: &str| counted.get(name).copied().unwrap_or_else(|| panic!("{name} in {counted:#?}"));
    let operations = |name, kind, code| {
        value(&format!("loquent_graphql_operations_total{{name=\"{name}\",kind=\"{kind}\",code=\"{code}\"}}"))
    };
    assert_eq!(operations("Known", "query", "OK"), 3.0);
    // Only what somebody signed in has done with success has its name.
    assert_eq!(operations("other", "query", "UNAUTHENTICATED"), 1.0);
    assert_eq!(operations("InTheDocument", "query", "OK"), 1.0);
    assert_eq!(operations("unknown", "unknown", "GRAPHQL_PARSE_FAILED"), 1.0);
    assert_eq!(value("loquent_guard_refusals_total{code=\"GRAPHQL_PARSE_FAILED\"}"), 1.0);
    assert_eq!(value("loquent_graphql_operation_duration_seconds_count{kind=\"query\"}"), 5.0);
    assert_eq!(value("loquent_graphql_operation_duration_seconds_count{kind=\"subscription\"}"), 2.0);
    assert_eq!(value("loquent_graphql_subscriptions"), 0.0);
    assert_eq!(value("loquent_http_responses_total{route=\"/graphql\",status=\"101\"}"), 3.0);
    assert!(value("loquent_websocket_closes_total{code=\"4400\"}") >= 1.0);
    let calls = |outcome| {
        let labels = format!("provider=\"scripted\",model=\"scripted\",outcome=\"{outcome}\"");
        value(&format!("loquent_provider_calls_total{{{labels}}}"))
    };
    assert_eq!((calls("ok"), calls("fault")), (1.0, 1.0));
    let first =
        "loquent_provider_time_to_first_token_seconds_count{provider=\"scripted\",model=\"scripted\"}";
    assert_eq!(value(first), 1.0);
    // 1,000 credits for a million tokens: 13 tokens are 13,000 micro-credits.
    assert_eq!(value("loquent_microcredits_charged_total"), 13_000.0);
    assert!(value("loquent_microcredits_held_total") > 13_000.0);
    assert_eq!(value("loquent_microcredits_overrun_total"), 0.0);
    assert_eq!(value("loquent_generations_running"), 0.0);
    assert!(value("loquent_stream_log_events_total") >= 1.0);
    assert!(value("loquent_stream_log_flushes_total{outcome=\"ok\"}") >= 1.0);
    assert_eq!(value("loquent_db_pool_max_connections{pool=\"requests\"}"), 16.0);
    assert_eq!(value("loquent_panics_total"), 0.0);
    assert!(value("loquent_http_connections") >= 1.0);
    assert!(value("process_resident_memory_bytes") > 1_000_000.0);
    assert!(value("process_open_fds") > 3.0);
    assert!(value("process_start_time_seconds") > 1_700_000_000.0);
    assert_eq!(value("loquent_cron_late_seconds"), 0.0);
    assert!(value("loquent_partition_months_ahead") >= 2.0);
    let all = format!("{counted:?}");
    assert!(!all.contains("@example.com") && !all.contains("Hello"), "people's words are no labels");
}

#[tokio::test]
async fn overrun_is_counted_and_never_charged() {
    let (db, provider) = (TestDb::create().await, ScriptedProvider::start().await);
    let binary =
        Binary::start(&Launch { database_url: &db.url, provider: provider.base_url(), settings: "" });
    let person = binary.client.sign_up().await;
    // Reported beyond every cap: what was held is charged, the rest is ours.
    provider.then(Script::text("x", 1).usage(10, 10_000));
    let sent = person.send_text("Hello", json!({ "options": { "maxOutputTokens": 100 } })).await;
    person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
    let counted = scrape(&binary.client).await;
    let (held, charged) =
        (counted["loquent_microcredits_held_total"], counted["loquent_microcredits_charged_total"]);
    assert_eq!(held, charged);
    assert_eq!(counted["loquent_microcredits_overrun_total"], 10_010_000.0 - charged);
}

#[tokio::test]
async fn outside_development_metrics_are_for_the_holder_of_the_token() {
    let token = "Nq4Jw8TzLc2VbXy7";
    for (settings, given, status) in [
        ("", None, 404),
        ("", Some(token), 404),
        ("metrics_token = \"Nq4Jw8TzLc2VbXy7\"", None, 401),
        ("metrics_token = \"Nq4Jw8TzLc2VbXy7\"", Some("Nq4Jw8TzLc2VbXy8"), 401),
        ("metrics_token = \"Nq4Jw8TzLc2VbXy7\"", Some(token), 200),
    ] {
        let app =
            TestApp::builder().settings(&format!("[server]\n{settings}")).outside_development().start().await;
        let mut client = app.client.clone();
        client.token = given.map(str::to_owned);
        let answer = client.send(client.request(Method::GET, "/metrics")).await;
        assert_eq!(answer.status.as_u16(), status, "{settings} {given:?}");
        app.close().await;
    }
}

#[test]
fn a_token_that_protects_nothing_is_refused() {
    for token in ["short", "Nq4Jw8TzLc2VbXy", "changeme-changeme", "has a blank inside it"] {
        let text = format!("[server]\nmetrics_token = \"{token}\"");
        let sources = Sources {
            file: Some(ConfigFile { path: "test.toml".to_owned(), text }),
            flags: Flags { is_dev: true, ..Flags::default() },
            directories: Some(loquent::config::Directories { data: "/d".into(), cache: "/c".into() }),
            ..Sources::default()
        };
        let faults = loquent::config::Config::load(sources).unwrap_err().to_string();
        assert!(
            faults.contains("server.metrics_token") && (token == "short" || !faults.contains(token)),
            "{faults}"
        );
    }
}
