//! What the house does by the clock, in processes as they are shipped.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    ops::metrics::scrape,
    support::{
        app::TestApp,
        binary::{Binary, Launch, command},
        client::Client,
        db::TestDb,
        provider::ScriptedProvider,
        rows::{connect, execute, row, row_when, rows},
    },
};

const LIMIT: Duration = Duration::from_secs(30);

/// Lets entries tick now, as if their time had come.
async fn let_tick(url: &str, names: &str) {
    let sql = format!(
        "UPDATE cron_entries SET is_enabled = true, next_tick_at = loquent_now() WHERE name LIKE '{names}'"
    );
    execute(url, &sql).await;
}

/// Drops the partitions of the months after next.
async fn drop_partitions(url: &str) {
    let months =
        "SELECT to_char(loquent_now() AT TIME ZONE 'UTC' + n * interval '1 month', 'YYYY_MM') AS month
                    FROM generate_series(2, 3) AS n";
    for month in rows(&mut connect(url).await, months).await {
        let partition = format!("messages_{}", month["month"].as_str().unwrap());
        execute(url, &format!("ALTER TABLE messages DETACH PARTITION {partition}; DROP TABLE {partition}"))
            .await;
    }
}

async fn health(client: &Client, part: &str) -> Value {
    client.send(client.request(Method::GET, "/health")).await.body["parts"][part].clone()
}

#[tokio::test]
async fn the_timetable_is_in_the_database_and_clears_what_is_over() {
    let app = TestApp::start().await;
    app.client.sign_up().await;
    let url = app.db.url.clone();
    let found = rows(&mut connect(&url).await, "SELECT name FROM cron_entries ORDER BY name").await;
    let names: Vec<_> = found.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "credits.check_books",
            "messages.partitions",
            "prune.conversation_events",
            "prune.cron_ticks",
            "prune.idempotency_keys",
            "prune.jobs",
            "prune.one_shots",
            "prune.rate_limits",
            "prune.replicas",
            "prune.revocations",
            "prune.sessions",
            "subscriptions.renew"
        ]
    );
    let long_ago = "
        INSERT INTO idempotency_keys (user_id, operation, key, request_hash, result, expires_at)
          SELECT gen_random_uuid(), 'test', 'long-key-' || n, decode(repeat('00', 32), 'hex'), '{}',
                 loquent_now() - n * interval '1 minute' FROM generate_series(-2, 104500) n WHERE n <> 0;
        UPDATE sessions SET expires_at = loquent_now() - interval '2 days';
        INSERT INTO replicas (id, lease_until, fenced_at, version)
          VALUES (gen_random_uuid(), loquent_now() - interval '2 days', loquent_now() - interval '2 days', 'old');
        INSERT INTO cron_ticks (name, tick_at, job_id)
          SELECT 'prune.jobs', loquent_now() - n * interval '15 days', gen_random_uuid() FROM generate_series(1, 4) n;
        INSERT INTO cron_ticks (name, tick_at, job_id)
          VALUES ('messages.partitions', loquent_now() - interval '400 days', gen_random_uuid());
        INSERT INTO jobs (queue, name, payload, state, max_attempts, finished_at, created_at)
          SELECT 'default', 'old', '{}', 'done', 1, loquent_now() - n * interval '3 days', loquent_now() - interval '1 year'
            FROM generate_series(1, 4) n";
    execute(&url, long_ago).await;
    let_tick(&url, "prune.%").await;
    for gone in [
        "FROM idempotency_keys WHERE expires_at <= loquent_now()",
        "FROM sessions",
        "FROM replicas WHERE version = 'old'",
        "FROM jobs WHERE name = 'old' AND finished_at < loquent_now() - interval '8 days'",
        // The newest tick of an entry stays, so that it is known when it was.
        "FROM cron_ticks WHERE name = 'prune.jobs' AND tick_at < loquent_now() - interval '30 days'",
    ] {
        row_when(&url, LIMIT, &format!("SELECT WHERE NOT EXISTS (SELECT {gone})")).await;
    }
    let kept = "SELECT (SELECT count(*) FROM idempotency_keys) AS keys, (SELECT count(*) FROM jobs WHERE name = 'old') AS jobs,
                       (SELECT count(*) FROM cron_ticks WHERE name = 'messages.partitions') AS ticks";
    assert_eq!(row(&url, kept).await, json!({ "keys": 2, "jobs": 2, "ticks": 1 }));
    app.close().await;
}

#[tokio::test]
async fn missing_months_are_an_alarm_until_they_are_made() {
    let app = TestApp::start().await;
    let url = app.db.url.clone();
    assert_eq!(health(&app.client, "partitions").await["monthsAhead"], 3);
    drop_partitions(&url).await;
    // A result of the checks is good for a second.
    let alarmed = async || {
        let part = health(&app.client, "partitions").await;
        (part["status"] == "warn").then_some(part)
    };
    let part = until(alarmed).await;
    assert_eq!(part["monthsAhead"], 1);
    let_tick(&url, "messages.partitions").await;
    until(async || (health(&app.client, "partitions").await["status"] == "ok").then_some(())).await;
    row_when(&url, LIMIT, "SELECT FROM jobs WHERE name = 'upkeep.make_partitions' AND state = 'done'").await;
    app.close().await;
}

#[tokio::test]
async fn every_process_shows_that_the_books_differ_and_the_command_what_was_done() {
    let (db, provider) = (TestDb::create().await, ScriptedProvider::start().await);
    let launch = Launch { database_url: &db.url, provider: provider.base_url(), settings: "" };
    let binaries = [Binary::start(&launch), Binary::start(&launch)];
    binaries[0].client.sign_up().await;
    let shown = async |expected: f64| {
        for binary in &binaries {
            until(async || {
                let found = scrape(&binary.client).await.get("loquent_ledger_differences").copied();
                (found == Some(expected)).then_some(())
            })
            .await;
        }
    };
    let_tick(&db.url, "credits.check_books").await;
    row_when(&db.url, LIMIT, "SELECT FROM ledger_checks").await;
    shown(0.0).await;
    // That of the one who signed up, and that of the demo.
    execute(&db.url, "UPDATE wallets SET revision = revision + 1").await;
    let_tick(&db.url, "credits.check_books").await;
    shown(2.0).await;
    execute(&db.url, "UPDATE wallets SET revision = revision - 1").await;
    let_tick(&db.url, "credits.check_books").await;
    shown(0.0).await;
    // The hour may strike meanwhile.
    let checks =
        row(&db.url, "SELECT count(*) FILTER (WHERE differences = 0) AS clean FROM ledger_checks").await;
    assert!(checks["clean"].as_i64().unwrap() >= 2, "{checks}");

    let home = tempfile::tempdir().unwrap();
    let output = command(home.path(), &db.url).args(["cron", "list"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let words: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0][..5], ["NAME", "SCHEDULE", "ZONE", "MISSED", "LAST"]);
    let line = |name: &str| words.iter().find(|line| line[0] == name).unwrap_or_else(|| panic!("{said}"));
    let books = line("credits.check_books");
    assert_eq!((&books[1..8], books[10]), (&["7", "*", "*", "*", "*", "UTC", "once"][..], "done"));
    assert_eq!(line("messages.partitions")[8], "-");
    assert_eq!(words.len(), 13, "{said}");
}

/// Asks again until there is an answer.
async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let mut polls = tokio::time::interval(Duration::from_millis(100));
    let answer = async {
        loop {
            polls.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(LIMIT, answer).await.expect("the answer comes")
}
