//! Sockets: what a message over one costs, and what an idle subscription keeps.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

pub type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Sockets that send messages at the same time.
const SENDERS: usize = 16;

/// Opened at the same time, so that no queue of the system overflows.
const OPENING: usize = 50;

const WATCH: &str = "subscription($id: ID!) { messageStream(messageId: $id) {
    __typename sequence ... on TextDelta { text } } }";

async fn open(address: SocketAddr, path: &str) -> Stream {
    let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
    let protocol = HeaderValue::from_static("graphql-transport-ws");
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    connect_async(request).await.unwrap().0
}

pub async fn say(stream: &mut Stream, message: Value) {
    stream.send(Message::text(message.to_string())).await.unwrap();
}

/// The next message, pings left out.
pub async fn hear(stream: &mut Stream) -> String {
    loop {
        match stream.next().await.unwrap().unwrap() {
            Message::Text(text) if text.contains(r#""type":"ping""#) => {}
            Message::Text(text) => return text.to_string(),
            Message::Close(frame) => panic!("closed: {frame:?}"),
            _ => {}
        }
    }
}

/// Opens a socket of a person, who has introduced themselves.
pub async fn introduced(address: SocketAddr, token: &str) -> Stream {
    let mut stream = open(address, "/graphql").await;
    let payload = json!({ "authorization": format!("Bearer {token}") });
    say(&mut stream, json!({ "type": "connection_init", "payload": payload })).await;
    assert!(hear(&mut stream).await.contains("connection_ack"));
    stream
}

/// Runs `{ __typename }` so often over sockets: one message in, two out.
pub async fn exchange(address: SocketAddr, path: &'static str, token: Option<&str>, count: usize) {
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let token = token.map(str::to_owned);
        senders.spawn(async move {
            let mut stream = match token {
                Some(token) => introduced(address, &token).await,
                None => open(address, path).await,
            };
            for _ in 0..count / SENDERS {
                let message =
                    json!({ "id": "1", "type": "subscribe", "payload": { "query": "{ __typename }" } });
                say(&mut stream, message).await;
                assert!(hear(&mut stream).await.contains("Query"));
                assert!(hear(&mut stream).await.contains("complete"));
            }
        });
    }
    while let Some(result) = senders.join_next().await {
        result.unwrap();
    }
}

/// Opens sockets that each watch a message which says nothing more.
pub async fn watchers(address: SocketAddr, token: &str, message: &str, count: usize) -> Vec<Stream> {
    let mut open = Vec::with_capacity(count);
    while open.len() < count {
        let mut opening = JoinSet::new();
        for _ in 0..OPENING.min(count - open.len()) {
            let (token, message) = (token.to_owned(), message.to_owned());
            opening.spawn(async move {
                let mut stream = introduced(address, &token).await;
                let payload = json!({ "query": WATCH, "variables": { "id": message } });
                say(&mut stream, json!({ "id": "1", "type": "subscribe", "payload": payload })).await;
                assert!(hear(&mut stream).await.contains("MessageSnapshot"));
                stream
            });
        }
        while let Some(result) = opening.join_next().await {
            open.push(result.unwrap());
        }
    }
    open
}

/// Closes them, and gives the server a moment to notice.
pub async fn close(open: Vec<Stream>) {
    for mut stream in open {
        let _ = stream.close(None).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
}
