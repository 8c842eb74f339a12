//! A client of the API over WebSocket: [`Socket`] as an application would use it, [`RawSocket`] for the protocol.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::mpsc};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async, connect_async,
    tungstenite::{
        self, Message, client::IntoClientRequest, handshake::client::Request, http, protocol::Role,
    },
};

use super::client::Client;

/// Longer than any event of a test takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A socket on which tests write and read every frame themselves.
pub struct RawSocket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What came over a socket.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    Json(Value),
    /// The server closed, with code and reason.
    Closed(u16, String),
    /// The connection ended without a close frame.
    Gone,
}

impl RawSocket {
    /// Opens a socket with the subprotocol and nothing said yet.
    pub async fn open(client: &Client) -> Self {
        Self::try_open(client, &[("sec-websocket-protocol", "graphql-transport-ws")]).await.unwrap()
    }

    /// Opens a socket with headers of one's own; `Err` has the status and body of a refusal.
    pub async fn try_open(client: &Client, headers: &[(&'static str, &str)]) -> Result<Self, (u16, Value)> {
        match connect_async(handshake(client, headers)).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tungstenite::Error::Http(response)) => {
                let body = response.body().as_deref().unwrap_or_default();
                Err((response.status().as_u16(), serde_json::from_slice(body).unwrap_or_default()))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens a socket over a connection that is there already, such as one from another address; `None` when it is
    /// refused or the connection ends.
    pub async fn open_over(client: &Client, stream: TcpStream) -> Option<Self> {
        let request = handshake(client, &[("sec-websocket-protocol", "graphql-transport-ws")]);
        let opened = client_async(request, MaybeTlsStream::Plain(stream)).await;
        opened.ok().map(|(socket, _)| Self(socket))
    }

    /// The connection below, for a client that reads in its own way. Only for a server without TLS.
    pub fn into_stream(self) -> TcpStream {
        match self.0.into_inner() {
            MaybeTlsStream::Plain(stream) => stream,
            _ => panic!("the connection has TLS"),
        }
    }

    /// Goes on over such a connection, of which the client has read `seen` in its own way.
    pub async fn over(stream: TcpStream, seen: Vec<u8>) -> Self {
        let stream = MaybeTlsStream::Plain(stream);
        Self(WebSocketStream::from_partially_read(stream, seen, Role::Client, None).await)
    }

    pub async fn send(&mut self, message: Value) {
        self.send_frame(Message::text(message.to_string())).await;
    }

    pub async fn send_frame(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    /// As [`Self::send_frame`], when the server may have closed already.
    pub async fn try_send_frame(&mut self, message: Message) {
        let _ = self.0.send(message).await;
    }

    /// Sends; false when the socket has ended.
    pub async fn is_sent(&mut self, message: Message) -> bool {
        self.0.send(message).await.is_ok()
    }

    /// The next message of the protocol, pings of the server left out.
    pub async fn receive(&mut self) -> Received {
        loop {
            match self.receive_any().await {
                Received::Json(message) if message["type"] == "ping" => {}
                other => return other,
            }
        }
    }

    /// The next message of the protocol.
    pub async fn receive_any(&mut self) -> Received {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a message in time");
            return match message {
                Some(Ok(Message::Text(text))) => Received::Json(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(frame)))) => {
                    Received::Closed(frame.code.into(), frame.reason.to_string())
                }
                Some(Ok(Message::Close(None)) | Err(_)) | None => Received::Gone,
                Some(Ok(_)) => continue,
            };
        }
    }

    /// The code with which the server closes; other messages before it are skipped.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            match self.receive().await {
                Received::Closed(code, _) => return code,
                Received::Gone => panic!("the connection ended without a close frame"),
                Received::Json(_) => {}
            }
        }
    }

    /// Introduces the client and waits for the acknowledgement.
    pub async fn init(&mut self, token: Option<&str>) {
        let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
        self.send(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(self.receive().await, Received::Json(json!({ "type": "connection_ack" })));
    }
}

fn handshake(client: &Client, headers: &[(&'static str, &str)]) -> Request {
    let url = format!("{}/graphql", client.base_url.replacen("http", "ws", 1));
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, http::HeaderValue::from_str(value).unwrap());
    }
    request
}

/// One event of an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A result: `data`, `errors`.
    Next(Value),
    /// The operation was refused, or failed as a whole.
    Error(Value),
    Complete,
    /// The socket ended, with its code; 1006 without a close frame.
    Closed(u16),
}

/// A socket that runs operations; it ends when it and all its subscriptions are dropped.
pub struct Socket {
    commands: mpsc::Sender<Command>,
    last_id: AtomicU64,
}

enum Command {
    Subscribe { id: String, payload: Value, events: mpsc::Sender<Event> },
    Complete { id: String },
}

impl Socket {
    /// Connects with the credential of the client.
    #[expect(clippy::disallowed_methods, reason = "the task ends with the socket of the test")]
    pub async fn connect(client: &Client) -> Self {
        let mut raw = RawSocket::open(client).await;
        raw.init(client.token.as_deref()).await;
        let (commands, inbox) = mpsc::channel(16);
        tokio::spawn(route(raw, inbox));
        Self { commands, last_id: AtomicU64::new(0) }
    }

    /// Starts an operation of any kind.
    pub async fn subscribe(&self, query: &str, variables: Value) -> Subscription {
        self.start(json!({ "query": query, "variables": variables })).await
    }

    /// Starts the operation of this name.
    pub async fn subscribe_named(&self, query: &str, name: &str) -> Subscription {
        self.start(json!({ "query": query, "operationName": name })).await
    }

    async fn start(&self, payload: Value) -> Subscription {
        let id = (self.last_id.fetch_add(1, Ordering::Relaxed) + 1).to_string();
        let (sender, events) = mpsc::channel(1024);
        // A socket that has ended answers with the closed channel of events.
        let _ = self.commands.send(Command::Subscribe { id: id.clone(), payload, events: sender }).await;
        Subscription { id, events, commands: self.commands.clone() }
    }
}

/// A running operation; dropping it tells the server to stop.
pub struct Subscription {
    id: String,
    events: mpsc::Receiver<Event>,
    commands: mpsc::Sender<Command>,
}

impl Subscription {
    /// The next event. After the last one, `Closed(1006)`.
    pub async fn next(&mut self) -> Event {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("an event in time");
        event.unwrap_or(Event::Closed(1006))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // A full queue belongs to a socket that has ended.
        let _ = self.commands.try_send(Command::Complete { id: self.id.clone() });
    }
}

/// Carries commands to the socket and events to the subscriptions.
async fn route(mut raw: RawSocket, mut inbox: mpsc::Receiver<Command>) {
    let mut running: HashMap<String, mpsc::Sender<Event>> = HashMap::new();
    loop {
        let message = tokio::select! {
            command = inbox.recv() => match command {
                None => return,
                Some(Command::Subscribe { id, payload, events }) => {
                    raw.send(json!({ "id": id, "type": "subscribe", "payload": payload })).await;
                    running.insert(id, events);
                    continue;
                }
                Some(Command::Complete { id }) => {
                    if running.remove(&id).is_some() {
                        raw.send(json!({ "id": id, "type": "complete" })).await;
                    }
                    continue;
                }
            },
            message = raw.0.next() => message,
        };
        let code = match message {
            Some(Ok(Message::Text(text))) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["type"] == "ping" {
                    raw.send(json!({ "type": "pong" })).await;
                } else {
                    deliver(&mut running, &message).await;
                }
                continue;
            }
            Some(Ok(Message::Close(frame))) => frame.map_or(1006, |frame| frame.code.into()),
            Some(Ok(_)) => continue,
            Some(Err(_)) | None => 1006,
        };
        for events in running.values() {
            let _ = events.send(Event::Closed(code)).await;
        }
        return;
    }
}

async fn deliver(running: &mut HashMap<String, mpsc::Sender<Event>>, message: &Value) {
    let id = message["id"].as_str().unwrap_or_default();
    let event = match message["type"].as_str() {
        Some("next") => Event::Next(message["payload"].clone()),
        Some("error") => Event::Error(message["payload"].clone()),
        _ => Event::Complete,
    };
    let is_last = !matches!(event, Event::Next(_));
    if let Some(events) = running.get(id) {
        let _ = events.send(event).await;
    }
    if is_last {
        running.remove(id);
    }
}
