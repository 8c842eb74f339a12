//! Titles that models make: asked for once after the first answer, paid like any run, and never instead of a person's.

use std::time::Duration;

use serde_json::{Value, json};

use super::{create, read, stream, update};
use crate::support::{
    app::{Builder, MODEL, TestApp},
    binary::{Binary, Launch},
    client::Client,
    cluster::variable,
    db::TestDb,
    provider::{Gate, Script, ScriptedProvider},
    restart::{SIGNING_KEY, check_ledger},
    rows::{connect, row, row_when, rows},
    ws::Socket,
};

const LIMIT: Duration = Duration::from_secs(30);
const RUNS: &str = "SELECT purpose, status, credits_charged, user_id::text, message_id::text, model_key FROM generations ORDER BY id";
const DONE: &str = "SELECT attempts FROM jobs WHERE name = 'conversations.make_title' AND state = 'done'";

/// A database in which titles are on.
async fn titling() -> TestDb {
    let db = TestDb::create().await;
    db.execute("INSERT INTO settings (key, value) VALUES ('chat.titles', 'true')").await;
    db
}

async fn start(builder: Builder) -> TestApp {
    builder.start_over(titling().await).await
}

/// Sends to a new conversation and waits for the end of the answer; the id of the conversation.
async fn talk(person: &Client, more: Value) -> String {
    let sent = person.send_text("How wide is the sea?", more).await;
    person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap_or_else(|| panic!("{sent}"))).await;
    sent["conversation"]["id"].as_str().unwrap().to_owned()
}

async fn runs(url: &str) -> Vec<Value> {
    rows(&mut connect(url).await, RUNS).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_enqueued_while_titles_are_off() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let id = talk(&person, json!({})).await;
    assert_eq!(read(&person, &id).await["title"], "How wide is the sea?");
    assert_eq!(row(&app.db.url, "SELECT count(*) AS n FROM jobs").await["n"], 0);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_answer_brings_one_title_that_is_charged_once_and_told() {
    let app = start(TestApp::builder()).await;
    let person = app.client.sign_up().await;
    let gate = Gate::default();
    app.provider.then(Script::text("Wide.", 1).usage(3, 1));
    app.provider.then(Script::text("\"The *width* of the sea\"\nreally", 3).usage(40, 6).gate(&gate));
    let id = talk(&person, json!({ "options": { "temperature": 1.5, "stop": ["END"] } })).await;
    assert_eq!(
        read(&person, &id).await["title"],
        "How wide is the sea?",
        "the first line until there is a better one"
    );
    let socket = Socket::connect(&person).await;
    // Two messages, the conversation and the end of the answer are there already.
    let mut watch = stream::watch(&socket, &id, Some(4)).await;
    // The process looks for runs that shall stop with every renewal of its lease; one without a message is none of them.
    app.provider.called(2).await;
    for _ in 0..2 {
        let lease = row(&app.db.url, "SELECT max(lease_until)::text AS until FROM replicas").await;
        let until = lease["until"].as_str().unwrap();
        let later = format!("SELECT 1 AS one FROM replicas WHERE lease_until > '{until}'");
        row_when(&app.db.url, LIMIT, &later).await;
    }
    gate.open();
    assert_eq!(stream::next(&mut watch).await, (5, stream::Entry::Conversation));
    assert_eq!(read(&person, &id).await["title"], "The *width* of the sea");
    row_when(&app.db.url, LIMIT, DONE).await;

    let found = runs(&app.db.url).await;
    assert_eq!(found.len(), 2, "{found:?}");
    let title = &found[1];
    assert_eq!((&title["purpose"], &title["status"]), (&json!("title"), &json!("succeeded")));
    assert_eq!((&title["credits_charged"], &title["message_id"]), (&json!(46_000), &json!(null)));
    assert_eq!(title["user_id"], found[0]["user_id"]);
    assert_eq!(person.balance().await, ("99.950000".to_owned(), "0.000000".to_owned()));
    let entries = "SELECT count(*) AS n FROM ledger_entries WHERE description = 'Title by scripted' AND kind = 'settle'";
    assert_eq!(row(&app.db.url, entries).await["n"], 1);

    // The model saw both messages and none of the wishes; no message came of it.
    let asked = app.provider.requests().pop().unwrap().body;
    assert!(asked["messages"][1]["content"].to_string().contains("How wide is the sea?"), "{asked}");
    assert!(asked["messages"][1]["content"].to_string().contains("Wide."), "{asked}");
    assert_eq!((&asked["temperature"], &asked["stop"]), (&json!(null), &json!(null)));
    assert_eq!(read(&person, &id).await["messageCount"], 2);

    // The next answer asks for none, and what a person takes away the next answer brings again.
    talk(&person, json!({ "conversationId": id })).await;
    assert_eq!(runs(&app.db.url).await.len(), 3);
    update(&person, &id, json!({ "title": null })).await;
    app.provider.then(Script::text("Wider.", 1).usage(3, 1));
    app.provider.then(Script::text("Still wide", 1).usage(3, 1));
    talk(&person, json!({ "conversationId": id })).await;
    row_when(&app.db.url, LIMIT, "SELECT 1 AS one FROM conversations WHERE title = 'Still wide'").await;
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_title_of_a_person_stays() {
    let app = start(TestApp::builder()).await;
    let person = app.client.sign_up().await;
    // One who has said it before is not even asked about.
    let named = create(&person, json!({ "title": "Mine" })).await["conversation"]["id"].clone();
    talk(&person, json!({ "conversationId": named })).await;
    assert_eq!(row(&app.db.url, "SELECT count(*) AS n FROM jobs").await["n"], 0);
    // Who says it while the model thinks is kept too; what the model did is paid.
    let gate = Gate::default();
    app.provider.then(Script::text("Wide.", 1).usage(3, 1));
    app.provider.then(Script::text("Of the model", 3).usage(40, 6).gate_after(1, &gate));
    let before = app.provider.calls();
    let id = talk(&person, json!({})).await;
    app.provider.called(before + 2).await;
    update(&person, &id, json!({ "title": "Mine too" })).await;
    gate.open();
    row_when(&app.db.url, LIMIT, DONE).await;
    assert_eq!(read(&person, &id).await["title"], "Mine too");
    assert_eq!(runs(&app.db.url).await.last().unwrap()["credits_charged"], 46_000);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_pay_keeps_the_first_line_and_the_job_ends_well() {
    let app = start(TestApp::builder().credits("0.2")).await;
    let person = app.client.sign_up().await;
    app.provider.then(Script::text("Wide.", 1).usage(100, 99));
    let id = talk(&person, json!({})).await;
    row_when(&app.db.url, LIMIT, DONE).await;
    assert_eq!(read(&person, &id).await["title"], "How wide is the sea?");
    assert_eq!((app.provider.calls(), runs(&app.db.url).await.len()), (1, 1));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_model_makes_titles_when_the_operator_says_so_unless_the_plan_lacks_it() {
    for (models, purpose) in [(vec![MODEL, "small"], Some("small")), (vec![MODEL], None)] {
        let small = "[models.small]\nprovider = \"scripted\"\ncontext_tokens = 1000\nmax_output_tokens = 100\n\
                     prices = { input = \"1\", output = \"1\" }";
        let db = titling().await;
        db.execute("INSERT INTO settings (key, value) VALUES ('chat.title_model', '\"small\"')").await;
        let app = TestApp::builder().offer(|offer| offer.models(&models).with(small)).start_over(db).await;
        let person = app.client.sign_up().await;
        talk(&person, json!({})).await;
        row_when(&app.db.url, LIMIT, DONE).await;
        let found = runs(&app.db.url).await;
        let title = found.iter().find(|run| run["purpose"] == "title");
        assert_eq!(title.map(|run| run["model_key"].as_str().unwrap()), purpose, "{found:?}");
        app.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_fails_is_asked_again_and_charges_nothing() {
    let app = start(TestApp::builder()).await;
    let person = app.client.sign_up().await;
    app.provider.then(Script::text("Wide.", 1).usage(3, 1));
    app.provider.then(Script::status(500));
    app.provider.then(Script::text("The sea", 1).usage(3, 1));
    let id = talk(&person, json!({})).await;
    assert_eq!(row_when(&app.db.url, LIMIT, DONE).await["attempts"], 2);
    assert_eq!(read(&person, &id).await["title"], "The sea");
    let charged: Vec<Value> =
        runs(&app.db.url).await.iter().map(|run| run["credits_charged"].clone()).collect();
    assert_eq!(charged, [4_000, 0, 4_000]);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_title_that_broke_off_was_charged_and_is_not_asked_for_again() {
    let app = start(TestApp::builder()).await;
    let person = app.client.sign_up().await;
    app.provider.then(Script::text("Wide.", 1).usage(3, 1));
    app.provider.then(Script::text("The sea", 2).cut_after(1));
    let id = talk(&person, json!({})).await;
    assert_eq!(row_when(&app.db.url, LIMIT, DONE).await["attempts"], 1);
    assert_eq!(app.provider.calls(), 2);
    let charged = runs(&app.db.url).await.pop().unwrap();
    assert!(charged["credits_charged"].as_i64().unwrap() > 0, "{charged}");
    assert_ne!(read(&person, &id).await["title"], "The sea");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_title_that_was_paid_for_and_not_written_is_not_paid_for_again() {
    let app = start(TestApp::builder()).await;
    let person = app.client.sign_up().await;
    app.provider.then(Script::text("Wide.", 1).usage(3, 1));
    app.provider.then(Script::text("The sea", 1).usage(3, 1));
    let id = talk(&person, json!({})).await;
    row_when(&app.db.url, LIMIT, DONE).await;
    let before = person.balance().await;
    // As it is after a process that died between the end of the run and the end of the job.
    app.db
        .execute(
            "UPDATE conversations SET title_state = 'asked', title = 'How wide is the sea?';
             UPDATE jobs SET state = 'ready', finished_at = NULL, attempts = 0
              WHERE name = 'conversations.make_title'",
        )
        .await;
    row_when(&app.db.url, LIMIT, DONE).await;
    assert_eq!((app.provider.calls(), person.balance().await), (2, before));
    assert_eq!(read(&person, &id).await["title"], "How wide is the sea?");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_over_titles_leaves_one_title_each_and_no_hold() {
    let kills = if variable("TEST_SCALE").as_deref() == Some("full") { 20 } else { 2 };
    let db = titling().await;
    let provider = ScriptedProvider::start().await;
    let settings = format!("{SIGNING_KEY}[streams]\nlease_ms = 1000\n");
    let launch = Launch { database_url: &db.url, provider: provider.base_url(), settings: &settings };
    let mut binary = Binary::start(&launch);
    let person = binary.client.sign_up().await;
    for kill in 0..kills {
        let here = binary.client.with_token(person.token.clone().unwrap());
        let calls = provider.calls();
        provider.then(Script::text("Wide.", 1).usage(3, 1));
        // Before the model says anything, or in the middle of it.
        let never = Gate::default();
        let script = Script::text("Lost in the sea", 4).usage(40, 6);
        provider.then(if kill % 2 == 0 { script.gate(&never) } else { script.gate_after(2, &never) });
        provider.always(Script::text(&format!("Title {kill}"), 2).usage(40, 6));
        let id = talk(&here, json!({})).await;
        provider.called(calls + 2).await;
        binary.kill();
        binary = Binary::start(&launch);
        let given = format!("SELECT 1 AS one FROM conversations WHERE title = 'Title {kill}'");
        row_when(&db.url, LIMIT, &given).await;
        let all_ended =
            "SELECT 1 AS one WHERE NOT EXISTS (SELECT FROM generations WHERE finished_at IS NULL)";
        row_when(&db.url, LIMIT, all_ended).await;
        let next = binary.client.with_token(person.token.clone().unwrap());
        assert_eq!(read(&next, &id).await["title"], format!("Title {kill}"));
    }
    let count = "SELECT count(*) FILTER (WHERE status = 'succeeded') AS made, \
                 count(*) FILTER (WHERE status = 'interrupted' AND credits_charged = 0) AS lost \
                 FROM generations WHERE purpose = 'title'";
    let found = row(&db.url, count).await;
    assert_eq!(found, json!({ "made": kills, "lost": kills }));
    let verdict = check_ledger(&db.url);
    binary.kill();
    println!("a_process_that_dies_over_titles n={kills} {verdict} ok");
}
