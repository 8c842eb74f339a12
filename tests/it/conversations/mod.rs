//! Conversations as people keep them: made, changed, listed, removed.

use serde_json::{Value, json};

use crate::support::{app::new_key, client::Client};

mod changes;
mod filter;
mod lists;
mod settings;
mod stream;
mod titles;
mod tree;

const CREATE: &str = "mutation($input: CreateConversationInput!) {
    createConversation(input: $input) {
        conversation { id title systemPrompt model { key } messageCount head { id } account { id } createdBy { id } }
        userErrors { code message field }
    }
}";

const UPDATE: &str = "mutation($input: UpdateConversationInput!) {
    updateConversation(input: $input) {
        conversation { id title systemPrompt model { key } }
        userErrors { code message field }
    }
}";

/// The payload of creating with this input; a new key unless it has one.
async fn create(person: &Client, mut input: Value) -> Value {
    if input.get("idempotencyKey").is_none() {
        input["idempotencyKey"] = json!(new_key());
    }
    person.gql(CREATE, json!({ "input": input })).await.data()["createConversation"].clone()
}

/// Id of a new conversation with this title.
async fn created(person: &Client, title: &str) -> String {
    let payload = create(person, json!({ "title": title })).await;
    payload["conversation"]["id"].as_str().unwrap_or_else(|| panic!("{payload}")).to_owned()
}

async fn update(person: &Client, id: &str, changes: Value) -> Value {
    let mut input = json!({ "conversationId": id });
    for (name, value) in changes.as_object().unwrap() {
        input[name] = value.clone();
    }
    person.gql(UPDATE, json!({ "input": input })).await.data()["updateConversation"].clone()
}

async fn delete(person: &Client, id: &str) -> Value {
    let mutation = "mutation($id: ID!) { deleteConversation(input: { id: $id }) { deletedId userErrors { code field } } }";
    person.gql(mutation, json!({ "id": id })).await.data()["deleteConversation"].clone()
}

async fn read(person: &Client, id: &str) -> Value {
    let query =
        "query($id: ID!) { conversation(id: $id) { id title systemPrompt model { key } messageCount } }";
    person.gql(query, json!({ "id": id })).await.data()["conversation"].clone()
}

/// Asserts that a payload refuses one field and changes nothing.
fn assert_refused(payload: &Value, code: &str, field: &str) {
    assert_eq!(payload["conversation"], json!(null), "{payload}");
    assert_eq!(payload["userErrors"][0]["code"], code, "{payload}");
    assert_eq!(payload["userErrors"][0]["field"], json!(["input", field]), "{payload}");
}
