//! What is asked of the real binary, and a person with something to read.

use std::{net::SocketAddr, path::Path};

use serde_json::{Value, json};

use crate::{
    bare::{Asked, Case},
    http::Request,
    proxy::Proxy,
    server::Server,
};

/// Everything on this machine is one address and most of it one person, so what bounds these is out of the way.
const SETTINGS: &str = "[limits]\nsockets_per_user = 10000\nsockets_per_address = 10000\n\
    connections_per_address = 10000\nsocket_messages_per_second = 10000\n";

/// Conversations of the person, and messages of each.
const CONVERSATIONS: usize = 20;
const MESSAGES: usize = 6;

pub const VIEWER: &str = "{ viewer { user { id name } account { id name kind } } }";
pub const NESTED: &str = "{ viewer { account { conversations(first: 20) { nodes { id title \
    messages(last: 5) { nodes { id role text createdAt } } } } } } }";

/// Starts the server over a database.
pub fn start(home: &Path, database_url: &str) -> Server {
    Server::start(home, database_url, SETTINGS)
}

/// A request to the API.
pub fn operation(token: Option<&str>, query: &str, variables: &Value) -> Request {
    Request::post("/graphql", token, &json!({ "query": query, "variables": variables }).to_string())
}

/// The data of an operation that must succeed.
pub async fn data(address: SocketAddr, token: Option<&str>, query: &str, variables: Value) -> Value {
    let answer = operation(token, query, &variables).send(address).await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(answer.status == 200 && body.get("errors").is_none(), "{body}");
    body["data"].clone()
}

/// A person with conversations. Returns the access token.
pub async fn person(address: SocketAddr) -> String {
    let joined = data(
        address,
        None,
        "mutation($input: SignUpInput!) { signUp(input: $input) { tokens { accessToken } } }",
        json!({ "input": { "email": "bench@example.com", "password": "violet-tractor-lantern" } }),
    )
    .await;
    let token = joined["signUp"]["tokens"]["accessToken"].as_str().unwrap().to_owned();
    for number in 0..CONVERSATIONS {
        let mut conversation = Value::Null;
        for turn in 0..MESSAGES / 2 {
            let (sent, id) =
                send(address, &token, &format!("Question {number}.{turn} /words 8 /pace 0"), &conversation)
                    .await;
            conversation = sent;
            while status(address, &token, &id).await != "SUCCEEDED" {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
    }
    token
}

/// Sends a text to the built-in model. Returns the ids of the conversation and of the answer.
pub async fn send(address: SocketAddr, token: &str, text: &str, conversation: &Value) -> (Value, String) {
    let sent = data(
        address,
        Some(token),
        "mutation($input: SendMessageInput!) { sendMessage(input: $input) { conversation { id } assistantMessage { id } } }",
        json!({ "input": { "parts": [{ "text": text }], "model": "echo", "conversationId": conversation,
            "idempotencyKey": uuid::Uuid::now_v7().to_string() } }),
    )
    .await;
    let sent = &sent["sendMessage"];
    (sent["conversation"]["id"].clone(), sent["assistantMessage"]["id"].as_str().unwrap().to_owned())
}

async fn status(address: SocketAddr, token: &str, message: &str) -> String {
    let found = data(
        address,
        Some(token),
        "query($id: ID!) { message(id: $id) { status } }",
        json!({ "id": message }),
    )
    .await;
    found["message"]["status"].as_str().unwrap().to_owned()
}

/// What an operation asks of the database when everything is warm, and what it answers.
pub async fn record(proxy: &Proxy, address: SocketAddr, token: &str, query: &str) -> Case {
    let request = operation(Some(token), query, &json!({}));
    for _ in 0..200 {
        let mark = proxy.count();
        let answer = request.send(address).await;
        assert_eq!(answer.status, 200);
        let flights = proxy.since(mark);
        // Every five seconds the session is looked up as well, and the process has housework of its own.
        let is_clean = flights.iter().all(|flight| {
            !flight.is_preparation && flight.sql.starts_with("SELECT") && !flight.sql.contains("replicas")
        });
        let is_checked = flights.iter().any(|flight| flight.sql.contains("FROM (\"sessions\""));
        if is_clean && !is_checked && !flights.is_empty() {
            let statements =
                flights.into_iter().map(|flight| Asked { sql: flight.sql, values: flight.values }).collect();
            return Case { statements, body: String::from_utf8(answer.body).unwrap() };
        }
    }
    panic!("no clean recording of {query}");
}
