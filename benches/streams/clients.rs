//! Clients: one that asks the product and watches over a socket, and one of the relay.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::{
    provider::Order,
    sockets::{self, Stream},
    stamps::{Received, ages_after},
};

const SIGN_UP: &str = "mutation($input: SignUpInput!) { signUp(input: $input) { tokens { accessToken } } }";
const SEND: &str = "mutation($input: SendMessageInput!) { sendMessage(input: $input) {
    assistantMessage { id generation { id } } userErrors { code message } } }";
const WATCH: &str = "subscription($id: ID!) { messageStream(messageId: $id, after: 0) {
    __typename sequence ... on MessageSnapshot { message { text } } ... on TextDelta { text } } }";
const CANCEL: &str = "mutation($id: ID!) { cancelGeneration(input: { id: $id }) { userErrors { code } } }";

/// What a client saw of one stream.
#[derive(Default)]
pub struct Seen {
    /// From the wish to the first token.
    pub first: Option<Duration>,
    /// Age of every token when it arrived.
    pub ages: Vec<Duration>,
}

impl Seen {
    fn take(&mut self, asked: Instant, ages: Vec<Duration>, received: &Received) {
        if !ages.is_empty() {
            self.first.get_or_insert_with(|| asked.elapsed());
            received.add(ages.len());
            self.ages.extend(ages);
        }
    }
}

/// Joins as somebody new. Returns the access token.
pub async fn join(address: SocketAddr) -> String {
    let input = json!({ "email": "bench@example.com", "password": "violet-tractor-lantern" });
    let body = json!({ "query": SIGN_UP, "variables": { "input": input } });
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(format!("http://{address}/graphql"));
    let answer = request.header("content-type", "application/json").body(body.to_string()).send();
    let answer: Value = serde_json::from_slice(&answer.await.unwrap().bytes().await.unwrap()).unwrap();
    answer["data"]["signUp"]["tokens"]["accessToken"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

/// A number that a process counts, with its labels as they are written.
pub async fn metric(address: SocketAddr, name: &str) -> f64 {
    let text = reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
    line.trim().parse().unwrap()
}

/// Somebody with a socket.
pub struct Client {
    pub socket: Stream,
    /// The answer that was asked for last.
    pub message: String,
    pub generation: String,
}

impl Client {
    pub async fn connect(address: SocketAddr, token: &str) -> Self {
        let socket = sockets::introduced(address, token).await;
        Self { socket, message: String::new(), generation: String::new() }
    }

    async fn operate(&mut self, query: &str, variables: Value) -> Value {
        self.start("1", query, variables).await;
        let frame: Value = serde_json::from_str(&sockets::hear(&mut self.socket).await).unwrap();
        assert!(frame["type"] == "next" && frame["payload"]["errors"].is_null(), "{frame}");
        assert!(sockets::hear(&mut self.socket).await.contains("complete"));
        frame["payload"]["data"].clone()
    }

    async fn start(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        sockets::say(&mut self.socket, json!({ "id": id, "type": "subscribe", "payload": payload })).await;
    }

    /// Asks for an answer, and watches it.
    pub async fn ask(&mut self, order: Order) {
        let input = json!({ "parts": [{ "text": order.text() }], "model": "bench",
            "idempotencyKey": uuid::Uuid::now_v7().to_string() });
        let data = self.operate(SEND, json!({ "input": input })).await;
        let answer = &data["sendMessage"]["assistantMessage"];
        self.message = answer["id"].as_str().unwrap_or_else(|| panic!("{data}")).to_owned();
        self.generation = answer["generation"]["id"].as_str().unwrap().to_owned();
        self.start("2", WATCH, json!({ "id": self.message })).await;
    }

    /// Reads the next tokens; `None` when the stream is complete.
    pub async fn tokens(&mut self) -> Option<Vec<Duration>> {
        let frame = sockets::hear(&mut self.socket).await;
        (!frame.contains(r#""type":"complete""#)).then(|| ages_after(frame.as_bytes(), br#""text":""#))
    }

    /// Stops an answer, wherever it runs.
    pub async fn cancel(&mut self, generation: &str) {
        self.operate(CANCEL, json!({ "id": generation })).await;
    }

    /// Asks, watches, and reads to the end.
    pub async fn read(&mut self, order: Order, received: &Received) -> Seen {
        let (mut seen, asked) = (Seen::default(), Instant::now());
        self.ask(order).await;
        while let Some(ages) = self.tokens().await {
            seen.take(asked, ages, received);
        }
        seen
    }

    /// The same, for a task of its own.
    pub async fn read_all(mut self, order: Order, received: Arc<Received>) -> Seen {
        self.read(order, &received).await
    }
}

/// The same stream of the relay.
pub async fn read_relay(http: reqwest::Client, relay: SocketAddr, order: Order, received: &Received) -> Seen {
    let (mut seen, asked) = (Seen::default(), Instant::now());
    let answer =
        http.post(format!("http://{relay}/")).body(order.request().to_string()).send().await.unwrap();
    let mut chunks = answer.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        seen.take(asked, ages_after(&chunk.unwrap(), br#""content":""#), received);
    }
    seen
}
