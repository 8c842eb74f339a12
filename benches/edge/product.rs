//! The real binary, as an operator would start it, and a person with something to read.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    bare::{Asked, Case},
    http::Request,
    proxy::Proxy,
};

/// Everything on this machine is one address and most of it one person, so what bounds these is out of the way; `--dev`
/// counts no requests and no points of this machine.
const SETTINGS: &str = "[limits]\nsockets_per_user = 10000\nsockets_per_address = 10000\n\
    connections_per_address = 10000\nsocket_messages_per_second = 10000\n";

/// Conversations of the person, and messages of each.
const CONVERSATIONS: usize = 20;
const MESSAGES: usize = 6;

pub const VIEWER: &str = "{ viewer { user { id name } account { id name kind } } }";
pub const NESTED: &str = "{ viewer { account { conversations(first: 20) { nodes { id title \
    messages(last: 5) { nodes { id role text createdAt } } } } } } }";

/// A running server; it ends with the value.
pub struct Product {
    child: Child,
    pub address: SocketAddr,
}

impl Product {
    /// Starts it over a database, and waits until it listens.
    pub fn start(home: &Path, database_url: &str) -> Self {
        let file = home.join("loquent.toml");
        std::fs::write(&file, SETTINGS).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_loquent"))
            .env_clear()
            .env("HOME", home)
            .env("LOQUENT_DATA_DIR", home)
            .env("DATABASE_URL", database_url)
            .env("RUST_LOG", "loquent=error")
            .env(
                "LOQUENT_AUTH__SIGNING_KEYS",
                "bench:vK2p7RmQx9TzLc4WbYh8NsJd3FgAeU6iXo5PqHtC1yMkZrSnEwBlGa0D",
            )
            .current_dir(home)
            .args(["serve", "--dev", "--port", "0", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("the server ended before it was ready").unwrap();
            if let Some((_, rest)) = line.split_once("http://") {
                break rest.split('/').next().unwrap().parse().unwrap();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
