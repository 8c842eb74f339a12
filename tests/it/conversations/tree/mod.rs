//! The tree of messages: alternatives, branches, corrections and removals, by hand and against a plain model.

use serde_json::{Value, json};

use crate::support::{app::new_key, client::Client};

mod edges;
mod long;
mod model;

const TURN: &str = "conversation { id head { id } messageCount }
    userMessage { id parent { id } text } assistantMessage { id parent { id } status }
    userErrors { code message field }";

/// Sends a text after a message: `None` for the head, null for the first of a branch.
pub async fn send(person: &Client, conversation: &str, after: Option<Value>, text: &str) -> Value {
    let mut input = json!({
        "conversationId": conversation, "parts": [{ "text": text }], "model": "scripted", "idempotencyKey": new_key()
    });
    if let Some(parent) = after {
        input["parentMessageId"] = parent;
    }
    let mutation =
        format!("mutation($input: SendMessageInput!) {{ sendMessage(input: $input) {{ {TURN} }} }}");
    person.gql(&mutation, json!({ "input": input })).await.data()["sendMessage"].clone()
}

/// Has an answer made again.
pub async fn regenerate(person: &Client, answer: &str) -> Value {
    let mutation = format!(
        "mutation($input: RegenerateMessageInput!) {{ regenerateMessage(input: $input) {{ {TURN} }} }}"
    );
    let input = json!({ "messageId": answer, "idempotencyKey": new_key() });
    person.gql(&mutation, json!({ "input": input })).await.data()["regenerateMessage"].clone()
}

pub async fn select(person: &Client, message: &str) -> Value {
    let mutation = "mutation($id: ID!) { selectBranch(input: { id: $id }) {
        conversation { id head { id } } userErrors { code field } } }";
    person.gql(mutation, json!({ "id": message })).await.data()["selectBranch"].clone()
}

pub async fn edit(person: &Client, message: &str, text: &str) -> Value {
    let mutation = "mutation($input: EditMessageInput!) { editMessage(input: $input) {
        message { id text editedAt } userErrors { code field } } }";
    let input = json!({ "messageId": message, "parts": [{ "text": text }] });
    person.gql(mutation, json!({ "input": input })).await.data()["editMessage"].clone()
}

pub async fn remove(person: &Client, message: &str) -> Value {
    let mutation =
        "mutation($id: ID!) { deleteMessage(input: { id: $id }) { deletedId userErrors { code field } } }";
    person.gql(mutation, json!({ "id": message })).await.data()["deleteMessage"].clone()
}

/// Head, number of messages, and the ids of the branch shown or of another, read page by page.
async fn branch(
    person: &Client,
    conversation: &str,
    head: Option<&str>,
    size: usize,
) -> (Value, Vec<String>) {
    let query = "query($id: ID!, $head: ID, $first: Int, $after: String) { conversation(id: $id) {
        head { id } messageCount
        messages(first: $first, after: $after, headId: $head) { nodes { id } pageInfo { hasNextPage endCursor } } } }";
    let (mut after, mut ids) = (json!(null), Vec::new());
    loop {
        let variables = json!({ "id": conversation, "head": head, "first": size, "after": after });
        let found = person.gql(query, variables).await.data()["conversation"].clone();
        let page = &found["messages"];
        ids.extend(
            page["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap().to_owned()),
        );
        if page["pageInfo"]["hasNextPage"] == false {
            return (found, ids);
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

/// Texts of what the provider was sent last, the oldest first.
fn sent(app: &crate::support::app::TestApp) -> Vec<String> {
    let requests = app.provider.requests();
    let messages = requests.last().unwrap().body["messages"].as_array().unwrap().clone();
    messages.iter().map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}
