//! Settings: changed by one command, in force on every process within two seconds.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{PROMISE, processes};
use crate::{
    accounts::sign_up,
    support::{
        app::{MODEL, TestApp, new_key, provider_settings},
        binary::{Binary, command},
        client::Client,
        db::TestDb,
        provider::ScriptedProvider,
        rows::execute,
    },
};

/// `loquent settings` in a home with the configuration of the processes.
struct Operator<'a> {
    home: tempfile::TempDir,
    db: &'a TestDb,
}

impl<'a> Operator<'a> {
    fn new(db: &'a TestDb, provider: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("loquent.toml"), provider_settings(provider)).unwrap();
        Self { home, db }
    }

    /// Exit code, standard output and standard error.
    fn run(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let home: &Path = self.home.path();
        let output = command(home, &self.db.url).arg("settings").args(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    fn must(&self, words: &[&str]) -> String {
        let (code, said, errors) = self.run(words);
        assert_eq!(code, Some(0), "{words:?}: {said}{errors}");
        said
    }
}

async fn settings(client: &Client) -> Value {
    let query = "{ settings { key category value description isPublic updatedAt } }";
    client.gql(query, json!({})).await.data()["settings"].clone()
}

async fn value(client: &Client, key: &str) -> Value {
    let all = settings(client).await;
    all.as_array().unwrap().iter().find(|one| one["key"] == key).unwrap()["value"].clone()
}

/// Waits until every process has the value; how long after `since` the last one had it.
async fn everywhere(processes: &[Binary], key: &str, expected: Value, since: Instant) -> Duration {
    let mut polls = tokio::time::interval(Duration::from_millis(20));
    for process in processes {
        while value(&process.client, key).await != expected {
            polls.tick().await;
            assert!(since.elapsed() < Duration::from_secs(20), "{key} does not become {expected}");
        }
    }
    since.elapsed()
}

async fn a_change_reaches_three_processes(is_notifying: bool) {
    let (db, provider) = (TestDb::create().await, ScriptedProvider::start().await);
    let operator = Operator::new(&db, provider.base_url());
    let all: [Binary; 3] = processes(&db, provider.base_url(), is_notifying, "").await;
    let people =
        [all[0].client.sign_up().await, all[1].client.sign_up().await, all[2].client.sign_up().await];
    let mut slowest = Duration::ZERO;

    operator.must(&["set", "accounts.sign_up_open", "false"]);
    slowest = slowest.max(everywhere(&all, "accounts.sign_up_open", json!(false), Instant::now()).await);
    for process in &all {
        let answer = sign_up(&process.client, "late@example.com", "violet-tractor-lantern").await;
        assert_eq!(answer.user_errors("signUp")[0]["code"], "FORBIDDEN");
    }
    operator.must(&["reset", "accounts.sign_up_open"]);
    slowest = slowest.max(everywhere(&all, "accounts.sign_up_open", json!(true), Instant::now()).await);
    all[2].client.sign_up().await;

    operator.must(&["set", "chat.default_model", MODEL]);
    slowest = slowest.max(everywhere(&all, "chat.default_model", json!(MODEL), Instant::now()).await);
    for person in &people {
        assert_eq!(model_of_an_answer(person).await, MODEL);
    }
    println!("setting_elsewhere n=3 processes=3 notify={is_notifying} slowest={slowest:?} ok");
    assert!(slowest <= PROMISE, "{slowest:?}");
}

/// The model that answers who names none.
async fn model_of_an_answer(person: &Client) -> Value {
    let mutation = "mutation($input: SendMessageInput!) { sendMessage(input: $input) {
        assistantMessage { id generation { requestedModel } } userErrors { code message } } }";
    let input = json!({ "parts": [{ "text": "Hello" }], "idempotencyKey": new_key() });
    let sent = person.gql(mutation, json!({ "input": input })).await;
    let answer = &sent.data()["sendMessage"]["assistantMessage"];
    person.wait_for_end(answer["id"].as_str().unwrap_or_else(|| panic!("{sent:?}"))).await;
    answer["generation"]["requestedModel"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_in_force_on_three_processes_within_two_seconds() {
    a_change_reaches_three_processes(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_in_force_on_three_processes_without_hints_too() {
    a_change_reaches_three_processes(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_reads_the_public_settings_with_what_is_built_in() {
    let app = TestApp::start().await;
    let expected = json!([
        {
            "key": "accounts.sign_up_open", "category": "accounts", "value": true, "isPublic": true,
            "description": "Whether people may join by themselves; true or false.", "updatedAt": null,
        },
        {
            "key": "chat.default_model", "category": "chat", "value": "echo", "isPublic": true,
            "description": "Key of the model that answers those who name none.", "updatedAt": null,
        },
    ]);
    assert_eq!(settings(&app.client).await, expected);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_value_that_a_process_cannot_take_counts_as_not_stored() {
    let db = TestDb::create().await;
    execute(
        &db.url,
        "INSERT INTO settings (key, value) VALUES ('chat.default_model', '\"gone\"'), ('of.tomorrow', '1')",
    )
    .await;
    let app = TestApp::builder().start_over(db).await;
    assert_eq!(value(&app.client, "chat.default_model").await, "echo");
    assert_eq!(settings(&app.client).await.as_array().unwrap().len(), 2);
    assert_eq!(model_of_an_answer(&app.client.sign_up().await).await, "echo");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_lists_reads_checks_and_resets() {
    let db = TestDb::create().await;
    let provider = ScriptedProvider::start().await;
    let operator = Operator::new(&db, provider.base_url());
    assert_eq!(operator.must(&["get", "chat.default_model"]), "\"echo\"\n");
    operator.must(&["set", "chat.default_model", "scripted"]);
    assert_eq!(operator.must(&["get", "chat.default_model"]), "\"scripted\"\n");
    let list = operator.must(&["list"]);
    assert!(list.contains("accounts.sign_up_open = true  (built in, public)"), "{list}");
    assert!(list.contains("chat.default_model = \"scripted\"  (set 2"), "{list}");
    for (words, reason) in [
        (vec!["set", "chat.default_model", "gone"], "echo, scripted"),
        (vec!["set", "accounts.sign_up_open", "no"], "true or false"),
        (vec!["set", "chat.default", "echo"], "no setting"),
        (vec!["reset", "chat.default"], "no setting"),
        (vec!["get", "chat.default"], "no setting"),
    ] {
        let (code, said, errors) = operator.run(&words);
        assert_eq!((code, said.as_str()), (Some(1), ""), "{words:?}");
        assert!(errors.contains(reason), "{words:?}: {errors}");
    }
    assert_eq!(operator.must(&["get", "chat.default_model"]), "\"scripted\"\n");
    operator.must(&["reset", "chat.default_model"]);
    assert_eq!(operator.must(&["get", "chat.default_model"]), "\"echo\"\n");
}
