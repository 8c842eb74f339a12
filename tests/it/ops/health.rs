use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use loquent::{
    platform::postgres::{Db, NoConnection, pool::PoolSettings},
    server::Check,
};
use reqwest::Method;
use serde_json::json;

use crate::{
    support::{app::TestApp, db::TestDb, provider::Script},
    transport::probe::Site,
};

#[tokio::test]
async fn health_shows_every_part_to_operators() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    app.provider.then(Script::status(500));
    let sent = person.send_text("Hello", json!({})).await;
    person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
    let answer = app.client.send(app.client.request(Method::GET, "/health")).await;
    assert_eq!(answer.status.as_u16(), 200);
    let body = &answer.body;
    assert_eq!(body["status"], "warn", "{body:#}");
    assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
    assert!(body["uptimeSeconds"].is_u64() && body["isDraining"] == false);
    let parts = &body["parts"];
    for (part, status) in [
        ("database", "ok"),
        ("streamLog", "ok"),
        ("migrations", "ok"),
        ("partitions", "ok"),
        ("providers", "warn"),
        ("pools", "ok"),
    ] {
        assert_eq!(parts[part]["status"], status, "{part} {body:#}");
        assert!(parts[part]["since"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().is_ok());
    }
    assert!(parts["database"]["latencyMs"].as_f64().unwrap() > 0.0);
    assert!(parts["database"]["serverVersion"].as_str().unwrap().starts_with(char::is_numeric));
    assert_eq!(parts["migrations"]["pending"], json!([]));
    assert_eq!(parts["providers"]["scripted"]["lastOutcome"], "fault");
    assert_eq!(parts["pools"]["requests"]["max"], 16);
    assert!(parts["streamLog"]["replicaId"].is_string());
    let words = body.to_string();
    assert!(!words.contains("postgres://") && !words.contains("api_key"), "{words}");
    app.close().await;
}

#[tokio::test]
async fn outside_development_health_says_one_word_to_strangers() {
    let settings = "[server]\nmetrics_token = \"Nq4Jw8TzLc2VbXy7\"";
    let app = TestApp::builder().settings(settings).outside_development().start().await;
    let stranger = app.client.send(app.client.request(Method::GET, "/health")).await;
    assert_eq!((stranger.status.as_u16(), &stranger.body), (200, &json!({ "status": "ok" })));
    let operator = app.client.with_token("Nq4Jw8TzLc2VbXy7");
    let operator = operator.send(operator.request(Method::GET, "/health")).await;
    assert!(operator.body["parts"]["database"].is_object());
    app.close().await;
}

#[tokio::test]
async fn why_there_is_no_connection_is_said_once_and_in_words_of_ours() {
    let settings = PoolSettings { name: "test", size: 1, wait: Duration::from_millis(50) };
    let failure = async |url: &str| {
        let db = Db::try_new(url, settings).unwrap();
        let error = db.conn().await.map(drop).unwrap_err();
        let reason = error.source().unwrap().downcast_ref::<NoConnection>().unwrap().reason;
        (reason, error.chain())
    };
    let (reason, chain) = failure("postgres://someone:canary@127.0.0.1:1/none").await;
    assert_eq!(reason, "connection refused");
    assert_eq!(chain.to_lowercase().matches("refused").count(), 1, "{chain}");

    let db = TestDb::create().await;
    let (reason, chain) = failure(&db.url.replace("/loquent_", "/no_loquent_")).await;
    assert_eq!(reason, "the server does not let us in", "{chain}");
    assert_eq!(chain.matches("FATAL").count(), 1, "{chain}");
    assert!(!chain.contains("canary") && !chain.contains("creating a new object"), "{chain}");

    let pool = Db::try_new(&db.url, settings).unwrap();
    let _taken = pool.conn().await.unwrap();
    let names = "SELECT application_name AS line FROM pg_stat_activity WHERE application_name <> ''";
    let here = format!("{names} AND datname = current_database()");
    assert!(db.lines(&here).await.contains(&"loquent".to_owned()));
    let busy = pool.conn().await.map(drop).unwrap_err();
    assert!(busy.chain().contains("no database connection"), "{}", busy.chain());
}

#[tokio::test]
async fn a_flood_of_questions_is_one_round_of_checks() {
    let rounds = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&rounds);
    let check = Check::new("counted", move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            true
        }
    });
    let site = Site::start_with(|_| {}, vec![check]).await;
    let ask = |n: usize| {
        let client = site.client.clone();
        let path = if n.is_multiple_of(2) { "/health" } else { "/readyz" };
        async move { client.send(client.request(Method::GET, path)).await.status.as_u16() }
    };
    let started = std::time::Instant::now();
    let answers = futures_util::future::join_all((0..200).map(ask)).await;
    assert!(answers.iter().all(|status| *status == 200));
    let (found, took) = (rounds.load(Ordering::Relaxed), started.elapsed());
    // One, and one more for every second that the machine took.
    assert!(found <= 1 + took.as_secs() as usize, "{found} rounds in {took:?}");
    println!("200 questions in {took:?}: {found} rounds");
}

#[tokio::test]
async fn a_part_keeps_the_time_since_when_it_is_so() {
    let site = Site::start_with(|_| {}, vec![Check::new("good", || async { true })]).await;
    let since = async || {
        let answer = site.client.send(site.client.request(Method::GET, "/health")).await;
        answer.body["parts"]["good"]["since"].as_str().unwrap().to_owned()
    };
    let first = since().await;
    site.clock.advance(chrono::TimeDelta::hours(1));
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert_eq!(since().await, first);
}
