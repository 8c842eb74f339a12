//! Every way in which a socket ends or a message is refused, one after the other, over real sockets. A close code
//! without a scenario does not compile.

use std::time::Duration;

use axum::extract::ws::CloseFrame;
use loquent::graphql::transport::{Settings, ws::CloseCode};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::probe::Site;
use crate::support::{
    db::TestDb,
    rows::execute,
    ws::{RawSocket, Received},
};

/// The codes one after the other, from the first to the last.
fn after(code: Option<CloseCode>) -> Option<CloseCode> {
    Some(match code {
        None => CloseCode::Internal,
        Some(CloseCode::Internal) => CloseCode::Restart,
        Some(CloseCode::Restart) => CloseCode::TryLater,
        Some(CloseCode::TryLater) => CloseCode::Malformed("A message must be a JSON object"),
        Some(CloseCode::Malformed(_)) => CloseCode::Unauthorized,
        Some(CloseCode::Unauthorized) => CloseCode::Forbidden,
        Some(CloseCode::Forbidden) => CloseCode::UnknownSubprotocol,
        Some(CloseCode::UnknownSubprotocol) => CloseCode::InitTimeout,
        Some(CloseCode::InitTimeout) => CloseCode::DuplicateId,
        Some(CloseCode::DuplicateId) => CloseCode::TooManyInits,
        Some(CloseCode::TooManyInits) => CloseCode::TooManySockets,
        Some(CloseCode::TooManySockets) => return None,
    })
}

/// A server whose database is there, one whose database is not, and what must not be shared.
struct Stage {
    site: Site,
    db: TestDb,
    adrift: Site,
}

async fn ready(site: &Site, token: Option<&str>) -> RawSocket {
    let mut socket = RawSocket::open(&site.client).await;
    socket.init(token).await;
    socket
}

/// Opens a socket and says one thing.
async fn opening(site: &Site, message: Value) -> RawSocket {
    let mut socket = RawSocket::open(&site.client).await;
    socket.send(message).await;
    socket
}

fn init(token: &str) -> Value {
    json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {token}") } })
}

fn subscribe(id: &str, name: &str) -> Value {
    let query = format!("query {name} {{ __typename }}");
    json!({ "id": id, "type": "subscribe", "payload": { "query": query, "operationName": name } })
}

impl Stage {
    async fn set() -> Self {
        let db = TestDb::create().await;
        let site = Site::start_on(&db.url, |settings| settings.sockets_per_user = 1, Vec::new()).await;
        Self { site, db, adrift: Site::start().await }
    }

    async fn another(change: impl FnOnce(&mut Settings)) -> Site {
        Site::start_with(change, Vec::new()).await
    }

    /// Brings the server to end a socket with this code.
    async fn provoke(&self, code: CloseCode) -> Received {
        let site = &self.site;
        let mut socket = match code {
            CloseCode::Internal => {
                execute(&self.db.url, "ALTER TABLE sessions RENAME TO gone").await;
                let end = opening(site, init(&site.token())).await.receive().await;
                execute(&self.db.url, "ALTER TABLE gone RENAME TO sessions").await;
                return end;
            }
            CloseCode::Restart => {
                let site = Self::another(|_| {}).await;
                let mut socket = ready(&site, None).await;
                let (end, is_clean) =
                    tokio::join!(socket.receive(), site.running.drain(Duration::from_secs(20)));
                assert!(is_clean);
                return end;
            }
            CloseCode::TryLater => opening(&self.adrift, init(&self.adrift.token())).await,
            CloseCode::Malformed(_) => {
                let mut socket = ready(site, None).await;
                socket.send_frame(Message::text("[]")).await;
                socket
            }
            CloseCode::Unauthorized => opening(site, init("nonsense")).await,
            CloseCode::Forbidden => {
                let client = site.client.sign_up().await;
                let socket = ready(site, client.token.as_deref()).await;
                let out = "mutation { signOut(input: { everywhere: false }) { isAccepted } }";
                client.gql(out, json!({})).await;
                socket
            }
            CloseCode::UnknownSubprotocol => RawSocket::try_open(&site.client, &[]).await.unwrap(),
            CloseCode::InitTimeout => {
                let site = Self::another(|settings| settings.init = Duration::from_millis(50)).await;
                return RawSocket::open(&site.client).await.receive().await;
            }
            CloseCode::DuplicateId => {
                let mut socket = ready(site, None).await;
                socket.send(subscribe("1", "Hangs")).await;
                socket.send(subscribe("1", "Works")).await;
                socket
            }
            CloseCode::TooManyInits => {
                let mut socket = ready(site, None).await;
                socket.send(json!({ "type": "connection_init" })).await;
                socket
            }
            CloseCode::TooManySockets => {
                let client = site.client.sign_up().await;
                let token = client.token.as_deref().unwrap();
                let _first = ready(site, Some(token)).await;
                let mut second = opening(site, init(token)).await;
                return second.receive().await;
            }
        };
        socket.receive().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_close_code_is_reached_over_a_socket() {
    let stage = Stage::set().await;
    let (mut code, mut count) = (after(None), 0);
    while let Some(wanted) = code {
        let frame = CloseFrame::from(wanted);
        let end = stage.provoke(wanted).await;
        assert_eq!(end, Received::Closed(frame.code, frame.reason.to_string()), "{wanted:?}");
        println!("{} {}", frame.code, frame.reason);
        count += 1;
        code = after(code);
    }
    println!("close codes n={count} ok");
}

/// The type of the next message, or the code of the close frame.
async fn next(socket: &mut RawSocket) -> String {
    match socket.receive_any().await {
        Received::Json(message) => message["type"].as_str().unwrap().to_owned(),
        Received::Closed(code, _) => code.to_string(),
        Received::Gone => "gone".to_owned(),
    }
}

/// What the protocol asks for, beyond the close codes: what a client does, and what comes of it.
#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_protocol_is_kept() {
    let site = Site::start_with(|settings| settings.operations_per_socket = 2, Vec::new()).await;
    let mut rows = vec![];
    let mut row = |asked: &'static str, seen: String, wanted: &str| {
        assert_eq!(seen, wanted, "{asked}");
        rows.push((asked, seen));
    };

    let mut socket = RawSocket::open(&site.client).await;
    socket.send(json!({ "type": "ping" })).await;
    row("a ping before the introduction", next(&mut socket).await, "pong");
    socket.send(json!({ "type": "connection_init" })).await;
    row("an introduction", next(&mut socket).await, "connection_ack");
    socket.send(json!({ "type": "pong" })).await;
    socket.send(json!({ "type": "complete", "id": "never begun" })).await;
    socket.send(subscribe("1", "Works")).await;
    row("a pong and a stray complete, then a query", next(&mut socket).await, "next");
    row("the end of it", next(&mut socket).await, "complete");
    socket.send(subscribe("1", "Works")).await;
    row("the same id again", next(&mut socket).await, "next");
    row("the end of that", next(&mut socket).await, "complete");
    socket.send(json!({ "id": "2", "type": "subscribe", "payload": { "query": "{ nothing }" } })).await;
    row("a document that is not valid", next(&mut socket).await, "error");
    socket.send(json!({ "id": "2", "type": "subscribe", "payload": { "query": "{" } })).await;
    row("a document that cannot be read", next(&mut socket).await, "error");
    socket.send(json!({ "id": "2", "type": "subscribe", "payload": {} })).await;
    row("no document", next(&mut socket).await, "error");
    socket.send(subscribe("3", "Hangs")).await;
    socket.send(subscribe("4", "Hangs")).await;
    socket.send(subscribe("5", "Works")).await;
    row("more operations than a socket may have", next(&mut socket).await, "error");
    socket.send(json!({ "type": "complete", "id": "3" })).await;
    socket.send_frame(Message::Ping("x".into())).await;
    socket.send(json!({ "type": "ping" })).await;
    row("a complete, which has no answer, then a ping", next(&mut socket).await, "pong");
    drop(socket);

    let mut early = opening(&site, subscribe("1", "Works")).await;
    row("a subscription before the acknowledgement", next(&mut early).await, "4401");
    let mut binary = ready(&site, None).await;
    binary.send_frame(Message::binary(b"{}".to_vec())).await;
    row("a binary message", next(&mut binary).await, "4400");
    let mut long = ready(&site, None).await;
    long.try_send_frame(Message::text(" ".repeat(300 * 1024))).await;
    row("a message that is too long", next(&mut long).await, "4400");
    let live = site.token();
    site.clock.advance(chrono::TimeDelta::hours(2));
    row("a credential that has expired", next(&mut opening(&site, init(&live)).await).await, "4403");

    let hasty = |settings: &mut Settings| {
        settings.ping = Duration::from_millis(20);
        settings.silence = Duration::from_millis(100);
    };
    let site = Site::start_with(hasty, Vec::new()).await;
    let mut silent = ready(&site, None).await;
    row("silence", next(&mut silent).await, "ping");
    let end = loop {
        match next(&mut silent).await {
            ping if ping == "ping" => {}
            end => break end,
        }
    };
    row("silence for too long", end, "gone");

    let count = rows.len();
    for (asked, seen) in rows {
        println!("{asked:<46} {seen}");
    }
    println!("protocol rows n={count} ok");
}
