//! What a conversation is set to: stars, labels, the model, and wishes for its answers.

use serde_json::{Value, json};

use super::{assert_refused, create, created, stream, tree};
use crate::support::{
    app::{MODEL, TestApp, new_key},
    client::Client,
    provider::{Recorded, Script},
    ws::Socket,
};

const FIELDS: &str = "id isStarred archivedAt tags updatedAt
    options { temperature topP maxOutputTokens maxCredits stop }";

/// The payload of a change, with everything that can be set.
async fn set(person: &Client, id: &str, changes: Value) -> Value {
    let mutation = format!(
        "mutation($input: UpdateConversationInput!) {{ updateConversation(input: $input) {{
            conversation {{ {FIELDS} }} userErrors {{ code field }} }} }}"
    );
    let mut input = changes;
    input["conversationId"] = json!(id);
    person.gql(&mutation, json!({ "input": input })).await.data()["updateConversation"].clone()
}

async fn read(person: &Client, id: &str) -> Value {
    let query = format!("query($id: ID!) {{ conversation(id: $id) {{ {FIELDS} }} }}");
    person.gql(&query, json!({ "id": id })).await.data()["conversation"].clone()
}

fn no_wishes() -> Value {
    json!({ "temperature": null, "topP": null, "maxOutputTokens": null, "maxCredits": null, "stop": [] })
}

#[tokio::test(flavor = "multi_thread")]
async fn stars_labels_and_putting_away_are_kept_and_told() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let made = create(&person, json!({ "tags": [" sea ", "Sea", "sea"] })).await;
    let id = made["conversation"]["id"].as_str().unwrap();
    let plain = read(&person, id).await;
    assert_eq!(plain["tags"], json!(["sea", "Sea"]), "trimmed, and each once");
    assert_eq!((&plain["isStarred"], &plain["archivedAt"]), (&json!(false), &json!(null)));
    assert_eq!(plain["options"], no_wishes());

    let socket = Socket::connect(&person).await;
    let mut watch = stream::watch(&socket, id, Some(0)).await;
    for (place, (changes, field, value)) in [
        (json!({ "isStarred": true }), "isStarred", json!(true)),
        (json!({ "tags": ["lake"] }), "tags", json!(["lake"])),
        (json!({ "tags": [] }), "tags", json!([])),
        (json!({ "options": { "temperature": 0 } }), "options", {
            let mut wishes = no_wishes();
            wishes["temperature"] = json!(0.0);
            wishes
        }),
        (json!({ "isStarred": false }), "isStarred", json!(false)),
    ]
    .into_iter()
    .enumerate()
    {
        let payload = set(&person, id, changes).await;
        assert_eq!(payload["conversation"][field], value, "{payload}");
        assert_eq!(read(&person, id).await, payload["conversation"]);
        assert_eq!(stream::next(&mut watch).await, (place + 1, stream::Entry::Conversation));
    }
    // What is put away twice keeps its time; what is brought out has none.
    let first = set(&person, id, json!({ "isArchived": true })).await["conversation"]["archivedAt"].clone();
    assert!(first.is_string());
    let again = set(&person, id, json!({ "isArchived": true })).await;
    assert_eq!(again["conversation"]["archivedAt"], first);
    let out = set(&person, id, json!({ "isArchived": false })).await;
    assert_eq!(out["conversation"]["archivedAt"], json!(null));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_be_are_refused_and_change_nothing() {
    let app = TestApp::builder().offer(|offer| offer.models(&[MODEL])).start().await;
    let person = app.client.sign_up().await;
    let id = created(&person, "Sea").await;
    let before = read(&person, &id).await;
    let many: Vec<String> = (0..21).map(|number| number.to_string()).collect();
    for (input, code, field) in [
        (json!({ "tags": many }), "INVALID_INPUT", vec!["tags"]),
        (json!({ "tags": ["a", " "] }), "INVALID_INPUT", vec!["tags", "1"]),
        (json!({ "tags": ["x".repeat(41)] }), "INVALID_INPUT", vec!["tags", "0"]),
        (json!({ "tags": ["two\nlines"] }), "INVALID_INPUT", vec!["tags", "0"]),
        (json!({ "options": { "temperature": 2.1 } }), "INVALID_INPUT", vec!["options", "temperature"]),
        (json!({ "options": { "topP": 0 } }), "INVALID_INPUT", vec!["options", "topP"]),
        (json!({ "options": { "maxOutputTokens": 0 } }), "INVALID_INPUT", vec!["options", "maxOutputTokens"]),
        (
            json!({ "options": { "maxOutputTokens": -1 } }),
            "INVALID_INPUT",
            vec!["options", "maxOutputTokens"],
        ),
        (json!({ "options": { "maxCredits": "-1" } }), "INVALID_INPUT", vec!["options", "maxCredits"]),
        (json!({ "options": { "stop": [""] } }), "INVALID_INPUT", vec!["options", "stop"]),
        (json!({ "model": "echo" }), "PLAN_REQUIRED", vec!["model"]),
    ] {
        let path: Vec<Value> = std::iter::once("input").chain(field).map(|step| json!(step)).collect();
        for payload in [create(&person, input.clone()).await, set(&person, &id, input.clone()).await] {
            assert_eq!(payload["conversation"], json!(null), "{input}");
            assert_eq!(payload["userErrors"][0]["code"], code, "{input}: {payload}");
            assert_eq!(payload["userErrors"][0]["field"], json!(path), "{input}");
        }
    }
    assert_eq!(read(&person, &id).await, before);
    assert_eq!(app.db.lines("SELECT count(*)::text AS line FROM conversations").await, ["1"]);
    // A model that is not in the plan is no reason to tell a stranger that the conversation is there.
    let stranger = app.client.sign_up().await;
    assert_refused(&set(&stranger, &id, json!({ "model": "echo" })).await, "NOT_FOUND", "conversationId");
    app.close().await;
}

fn wished(request: &Recorded) -> Value {
    json!([
        request.body["temperature"],
        request.body["top_p"],
        request.body["max_tokens"],
        request.body["stop"]
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_of_a_message_win_over_those_of_its_conversation_field_by_field() {
    let app = TestApp::start().await;
    app.provider.always(Script::text("Yes.", 1).usage(3, 1));
    let person = app.client.sign_up().await;
    let wishes = json!({ "temperature": 0.5, "topP": 0.9, "maxOutputTokens": 7, "stop": ["END"] });
    let made = create(&person, json!({ "options": wishes, "model": MODEL })).await;
    let id = made["conversation"]["id"].as_str().unwrap().to_owned();
    let cap = app.provider_cap(&person).await;
    let mut calls = app.provider.calls();
    let mut answer = String::new();
    for (own, expected) in [
        (json!(null), json!([0.5, 0.9, 7, ["END"]])),
        (json!({}), json!([0.5, 0.9, 7, ["END"]])),
        (json!({ "temperature": 0 }), json!([0.0, 0.9, 7, ["END"]])),
        (json!({ "temperature": null, "maxOutputTokens": 5 }), json!([0.5, 0.9, 5, ["END"]])),
        (json!({ "stop": [] }), json!([0.5, 0.9, 7, null])),
        (json!({ "topP": 1, "stop": ["A", "B"] }), json!([0.5, 1.0, 7, ["A", "B"]])),
    ] {
        let sent = person.send_text("Really?", json!({ "conversationId": id, "options": own })).await;
        answer = sent["assistantMessage"]["id"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned();
        person.wait_for_end(&answer).await;
        calls += 1;
        assert_eq!(app.provider.calls(), calls);
        assert_eq!(wished(app.provider.requests().last().unwrap()), expected, "{own}");
    }
    // An answer that is made again follows the conversation too; without wishes there, those of the model hold.
    let again = tree::regenerate(&person, &answer).await["assistantMessage"]["id"].clone();
    person.wait_for_end(again.as_str().unwrap()).await;
    assert_eq!(wished(app.provider.requests().last().unwrap()), json!([0.5, 0.9, 7, ["END"]]));
    assert_eq!(set(&person, &id, json!({ "options": null })).await["conversation"]["options"], no_wishes());
    let sent = person.send_text("And now?", json!({ "conversationId": id })).await;
    person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
    assert_eq!(wished(app.provider.requests().last().unwrap()), json!([null, null, cap, null]));
    app.close().await;
}

impl TestApp {
    /// The cap of an answer of which nothing is wished.
    async fn provider_cap(&self, person: &Client) -> Value {
        let sent = person.send_text("Hello?", json!({})).await;
        person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
        self.provider.requests().last().unwrap().body["max_tokens"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_of_a_conversation_caps_its_answers() {
    let app = TestApp::start().await;
    app.provider.always(Script::text("Yes.", 1).usage(3, 1));
    let person = app.client.sign_up().await;
    let made = create(&person, json!({ "options": { "maxCredits": "0.5" } })).await;
    let id = made["conversation"]["id"].clone();
    let sent = person.send_text("Hi", json!({ "conversationId": id })).await;
    let held = sent["assistantMessage"]["generation"]["charge"]["creditsHeld"].as_str().unwrap();
    assert!(held.parse::<f64>().unwrap() <= 0.5, "{held}");
    person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
    // The message may cost less still, and more when it says so itself.
    let options = json!({ "maxCredits": "0.000001" });
    let refused = person.send_text("Hi", json!({ "conversationId": id, "options": options })).await;
    assert_eq!(refused["userErrors"][0]["code"], "INSUFFICIENT_CREDITS");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_gone_is_refused_when_an_answer_is_asked_for() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let id = created(&person, "Sea").await;
    app.db.execute("UPDATE conversations SET model_key = 'gone'").await;
    let input = json!({ "conversationId": id, "parts": [{ "text": "Hi" }], "idempotencyKey": new_key() });
    let mutation = "mutation($input: SendMessageInput!) { sendMessage(input: $input) {
        conversation { id } userErrors { code field } } }";
    let payload = person.gql(mutation, json!({ "input": input })).await.data()["sendMessage"].clone();
    assert_refused(&payload, "INVALID_INPUT", "model");
    app.close().await;
}
