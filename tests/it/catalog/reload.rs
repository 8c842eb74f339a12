//! A change is in force on every process within two seconds, with hints and without.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    app::{MODEL, TestApp, provider_settings},
    binary::{Binary, Launch, command},
    catalog::Offer,
    db::TestDb,
    provider::ScriptedProvider,
};

/// What is promised.
const PROMISE: Duration = Duration::from_secs(2);

async fn offered(process: &Binary) -> Value {
    process.client.gql("{ plans { key version } models { key } }", json!({})).await.data().clone()
}

async fn reaches_three_processes(is_notifying: bool) {
    let (db, provider) = (TestDb::create().await, ScriptedProvider::start().await);
    let settings = format!("[database]\nnotify = {is_notifying}\n");
    let launch = Launch { database_url: &db.url, provider: provider.base_url(), settings: &settings };
    let processes: [Binary; 3] = std::array::from_fn(|_| Binary::start(&launch));
    let home = tempfile::tempdir().unwrap();
    let settings = format!("{settings}{}", provider_settings(provider.base_url()));
    std::fs::write(home.path().join("loquent.toml"), settings).unwrap();

    let small = "[models.small]\nprovider = \"scripted\"\ncontext_tokens = 1000\nmax_output_tokens = 100\n\
                 prices = { input = \"0.5\", output = \"2\" }\n";
    let offer = Offer::of_credits("7").with(small);
    std::fs::write(home.path().join("offer.toml"), offer.text()).unwrap();
    let output = command(home.path(), &db.url).args(["catalog", "apply", "offer.toml"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let since = Instant::now();
    let expected = json!({
        "plans": [{ "key": "default", "version": 2 }],
        "models": [{ "key": "echo" }, { "key": MODEL }, { "key": "small" }],
    });
    let mut polls = tokio::time::interval(Duration::from_millis(20));
    for process in &processes {
        while offered(process).await != expected {
            polls.tick().await;
            assert!(since.elapsed() < Duration::from_secs(20), "{}", offered(process).await);
        }
    }
    let slowest = since.elapsed();
    for process in &processes {
        assert_eq!(process.client.sign_up().await.balance().await.0, "7.000000");
    }
    println!("catalog_elsewhere n=3 processes=3 notify={is_notifying} slowest={slowest:?} ok");
    assert!(slowest <= PROMISE, "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_in_force_on_three_processes_within_two_seconds() {
    reaches_three_processes(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_in_force_on_three_processes_without_hints_too() {
    reaches_three_processes(false).await;
}

async fn default_model(app: &TestApp) -> Value {
    let answer = app.client.gql("{ settings { key value } }", json!({})).await;
    let settings = answer.data()["settings"].as_array().unwrap().clone();
    settings.iter().find(|setting| setting["key"] == "chat.default_model").unwrap()["value"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_model_may_come_and_go_with_the_catalogue() {
    let app = TestApp::builder().settings("default_model = \"coming\"").start().await;
    let mutation = "mutation($input: SendMessageInput!) { sendMessage(input: $input) {
        assistantMessage { id generation { requestedModel } } userErrors { code message } } }";
    let person = app.client.sign_up().await;
    app.provider.always(crate::support::provider::Script::text("Yes.", 1).usage(3, 1));
    let mut key = 0;
    let mut asked = async || {
        key += 1;
        let input = json!({ "parts": [{ "text": "Hello" }], "idempotencyKey": format!("key number {key}") });
        let sent = person.gql(mutation, json!({ "input": input })).await;
        let answer = sent.data()["sendMessage"]["assistantMessage"].clone();
        person.wait_for_end(answer["id"].as_str().unwrap_or_else(|| panic!("{sent:?}"))).await;
        answer["generation"]["requestedModel"].clone()
    };
    assert_eq!(default_model(&app).await, "coming", "the setting is what the operator wrote");
    assert_eq!(asked().await, "echo", "and the built-in model stands in");
    let coming = "[models.coming]\nprovider = \"scripted\"\ncontext_tokens = 1000\nmax_output_tokens = 100\n\
                  prices = { input = \"0.5\", output = \"2\" }\n";
    Offer::default().with(coming).apply(&app.db.url).await;
    let mut polls = tokio::time::interval(Duration::from_millis(50));
    let since = Instant::now();
    while asked().await != "coming" {
        polls.tick().await;
        assert!(since.elapsed() < Duration::from_secs(20), "the model does not come");
    }
    app.close().await;
}
