//! How each transport carries a request of the corpus, and what is said to it.

use std::collections::HashSet;

use reqwest::{
    Method, Url,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

use super::corpus::{Case, Sent};
use crate::support::{
    client::Client,
    ws::{RawSocket, Received},
};

/// A request line beyond this does not fit into the 32 KiB of a head.
const HEAD_BYTES: usize = 32 * 1024;

/// A message beyond this is not taken.
const MESSAGE_BYTES: usize = 256 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Post,
    Get,
    Stream,
    Socket,
}

pub(super) const ALL: [Transport; 4] =
    [Transport::Post, Transport::Get, Transport::Stream, Transport::Socket];

/// The code of the refusal, or how the transport itself refuses; `None` where it cannot carry the request at all.
pub(super) fn expected(transport: Transport, case: &Case) -> Option<&str> {
    let is_json_object = matches!(serde_json::from_str(&case.text()), Ok(Value::Object(_)));
    match transport {
        Transport::Post | Transport::Stream => Some(case.code),
        Transport::Get => {
            let fields = url_fields(case)?;
            let names: HashSet<&str> = fields.iter().map(|(name, _)| *name).collect();
            Some(match path(&fields).len() {
                length if length > HEAD_BYTES => "head too large",
                _ if names.len() < fields.len() => "BAD_USER_INPUT",
                _ => case.code,
            })
        }
        Transport::Socket if !is_json_object || frame(case).len() > MESSAGE_BYTES => Some("closed 4400"),
        Transport::Socket => Some(case.code),
    }
}

/// Sends the request by that transport and says what came back, in the words of [`expected`].
pub(super) async fn send(transport: Transport, client: &Client, case: &Case) -> String {
    match transport {
        Transport::Post => over_post(client, case, "application/graphql-response+json").await,
        Transport::Stream => over_post(client, case, "text/event-stream").await,
        Transport::Get => over_get(client, &path(&url_fields(case).unwrap())).await,
        Transport::Socket => over_socket(client, case).await,
    }
}

async fn over_post(client: &Client, case: &Case, accept: &str) -> String {
    let request = client.post(case.text()).header(CONTENT_TYPE, "application/json").header(ACCEPT, accept);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    // A stream says what GraphQL objects to as its only event.
    match text.strip_prefix("event: next\ndata: ").and_then(|rest| rest.split_once('\n')) {
        Some((data, end)) if accept == "text/event-stream" && status == 200 => {
            assert!(end.contains("event: complete"), "{text}");
            code_of(&serde_json::from_str(data).unwrap())
        }
        _ if matches!(status, 200 | 400) => code_of(&serde_json::from_str(&text).unwrap()),
        _ => format!("status {status}: {text}"),
    }
}

/// The fields as an address has them: document and name as they are, the others in JSON.
fn url_fields(case: &Case) -> Option<Vec<(&'static str, String)>> {
    let Sent::Fields(fields) = &case.sent else { return None };
    let field = |(name, value): &(&'static str, String)| match *name {
        "query" | "operationName" => Some((*name, serde_json::from_str(value).ok()?)),
        _ => Some((*name, value.clone())),
    };
    fields.iter().map(field).collect()
}

fn path(fields: &[(&str, String)]) -> String {
    let url = Url::parse_with_params("http://x/graphql", fields).unwrap();
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}

async fn over_get(client: &Client, path: &str) -> String {
    if path.len() > HEAD_BYTES {
        return over_raw_get(client, path).await;
    }
    let request = client.request(Method::GET, path).header("graphql-require-preflight", "1");
    let answer = client.send(request).await;
    match answer.status.as_u16() {
        200 | 400 => code_of(&answer.body),
        status => format!("status {status}: {}", answer.body),
    }
}

/// For what no client library sends. The answer is 431, unless the connection is reset before it is read.
async fn over_raw_get(client: &Client, path: &str) -> String {
    let address = client.base_url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    match String::from_utf8_lossy(&answer).lines().next() {
        None => "head too large".to_owned(),
        Some(line) if line.contains(" 431 ") || line.contains(" 414 ") => "head too large".to_owned(),
        Some(line) => line.to_owned(),
    }
}

/// The `subscribe` message, whose payload need not be JSON.
fn frame(case: &Case) -> String {
    format!("{{\"id\":\"1\",\"type\":\"subscribe\",\"payload\":{}}}", case.text())
}

async fn over_socket(client: &Client, case: &Case) -> String {
    let mut socket = RawSocket::open(client).await;
    socket.init(None).await;
    socket.try_send_frame(Message::text(frame(case))).await;
    match socket.receive().await {
        Received::Json(message) if message["type"] == "next" => code_of(&message["payload"]),
        Received::Json(message) => {
            assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("1")), "{message}");
            code_of(&json!({ "errors": message["payload"] }))
        }
        // What closes early may be reset before its code is read.
        Received::Gone if frame(case).len() > MESSAGE_BYTES => "closed 4400".to_owned(),
        Received::Gone => "gone".to_owned(),
        Received::Closed(code, _) => format!("closed {code}"),
    }
}

/// Code of the first error of an answer without data.
fn code_of(answer: &Value) -> String {
    if !answer.get("data").is_none_or(Value::is_null) {
        return "executed".to_owned();
    }
    let extensions = &answer["errors"][0]["extensions"];
    assert!(extensions["requestId"].is_string(), "{answer}");
    extensions["code"].as_str().unwrap_or("no code").to_owned()
}
