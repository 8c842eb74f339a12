//! Messages of `graphql-transport-ws` and the codes that end a socket.

use async_graphql::{Response, ServerError};
use axum::extract::ws::{CloseFrame, Utf8Bytes};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Longest id of an operation in bytes: a uuid has 36.
const MAX_ID: usize = 128;

/// What a client can say.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    Init { payload: Option<Value> },
    Ping { payload: Option<Value> },
    Pong,
    Subscribe { id: String, payload: Map<String, Value> },
    Complete { id: String },
}

impl Incoming {
    /// `Err` says what is wrong, for the close frame.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let Ok(Value::Object(mut fields)) = serde_json::from_str(text) else {
            return Err("A message must be a JSON object");
        };
        let kind = fields.remove("type");
        match kind.as_ref().and_then(Value::as_str) {
            Some("connection_init") => Ok(Self::Init { payload: payload(&mut fields)? }),
            Some("ping") => Ok(Self::Ping { payload: payload(&mut fields)? }),
            Some("pong") => payload(&mut fields).map(|_| Self::Pong),
            Some("complete") => Ok(Self::Complete { id: id(&mut fields)? }),
            Some("subscribe") => {
                let id = id(&mut fields)?;
                match fields.remove("payload") {
                    Some(Value::Object(payload)) => Ok(Self::Subscribe { id, payload }),
                    _ => Err("The payload of subscribe must be an object"),
                }
            }
            _ => Err("The type of the message is unknown"),
        }
    }
}

fn payload(fields: &mut Map<String, Value>) -> Result<Option<Value>, &'static str> {
    match fields.remove("payload") {
        None | Some(Value::Null) => Ok(None),
        Some(payload @ Value::Object(_)) => Ok(Some(payload)),
        Some(_) => Err("A payload must be an object"),
    }
}

fn id(fields: &mut Map<String, Value>) -> Result<String, &'static str> {
    match fields.remove("id") {
        Some(Value::String(id)) if (1..=MAX_ID).contains(&id.len()) => Ok(id),
        _ => Err("An id must be a string of 1 to 128 bytes"),
    }
}

#[derive(Serialize)]
struct Next<'a> {
    id: &'a str,
    r#type: &'static str,
    payload: &'a Response,
}

/// One result of an operation.
pub fn next(id: &str, payload: &Response) -> Result<Utf8Bytes, serde_json::Error> {
    serde_json::to_string(&Next { id, r#type: "next", payload }).map(Utf8Bytes::from)
}

/// The end of an operation that was not, or not wholly, executed.
pub fn error(id: &str, errors: &[ServerError]) -> Utf8Bytes {
    json!({ "id": id, "type": "error", "payload": errors }).to_string().into()
}

/// The end of an operation after its last result.
pub fn complete(id: &str) -> Utf8Bytes {
    json!({ "id": id, "type": "complete" }).to_string().into()
}

/// The socket is ready for operations. A client that said something, but nothing that makes it somebody, is told so: it
/// may have meant a credential.
pub fn ack(is_anonymous: bool, payload: Option<&Value>) -> Utf8Bytes {
    let said =
        payload.and_then(Value::as_object).is_some_and(|said| said.values().any(|value| !value.is_null()));
    if is_anonymous && said {
        let warning = "No credential was found in this payload, so you are anonymous here. Sign in with \
            {\"authorization\": \"Bearer <access token>\"}.";
        return json!({ "type": "connection_ack", "payload": { "warning": warning } }).to_string().into();
    }
    Utf8Bytes::from_static(r#"{"type":"connection_ack"}"#)
}

/// A sign of life is wanted.
pub fn ping() -> Utf8Bytes {
    Utf8Bytes::from_static(r#"{"type":"ping"}"#)
}

/// The answer to a ping, with what it carried.
pub fn pong(payload: Option<Value>) -> Utf8Bytes {
    match payload {
        None => Utf8Bytes::from_static(r#"{"type":"pong"}"#),
        Some(payload) => json!({ "type": "pong", "payload": payload }).to_string().into(),
    }
}

/// Why the server ends a socket. Clients of the protocol give up after 1011, 4400, 4401, 4406, 4409 and 4429, and
/// connect again, with a new credential, after the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCode {
    /// 1011: a fault of ours.
    Internal,
    /// 1012: this process goes; another is there.
    Restart,
    /// 1013: who is calling could not be found out now.
    TryLater,
    /// 4400: a message is not of the protocol.
    Malformed(&'static str),
    /// 4401: subscribed before the acknowledgement, or the credential is no good.
    Unauthorized,
    /// 4403: the credential has expired, or its session has ended. Renew it and connect again.
    Forbidden,
    /// 4406: the client offered no subprotocol that is spoken here.
    UnknownSubprotocol,
    /// 4408: `connection_init` did not come in time.
    InitTimeout,
    /// 4409: an operation of this id still runs.
    DuplicateId,
    /// 4429: a second `connection_init`.
    TooManyInits,
    /// 4429 too: the user has as many sockets as allowed, and all are alive. Final, since trying again would not help.
    TooManySockets,
}

impl From<CloseCode> for CloseFrame {
    fn from(code: CloseCode) -> Self {
        let (code, reason) = match code {
            CloseCode::Internal => (1011, "Internal server error"),
            CloseCode::Restart => (1012, "Service restart"),
            CloseCode::TryLater => (1013, "Try again later"),
            CloseCode::Malformed(reason) => (4400, reason),
            CloseCode::Unauthorized => (4401, "Unauthorized"),
            CloseCode::Forbidden => (4403, "Forbidden"),
            CloseCode::UnknownSubprotocol => (4406, "Subprotocol not acceptable"),
            CloseCode::InitTimeout => (4408, "Connection initialisation timeout"),
            CloseCode::DuplicateId => (4409, "Subscriber for this id already exists"),
            CloseCode::TooManyInits => (4429, "Too many initialisation requests"),
            CloseCode::TooManySockets => (4429, "Too many sockets of this user"),
        };
        Self { code, reason: Utf8Bytes::from_static(reason) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_protocol_are_read() {
        let payload = Some(json!({ "a": 1 }));
        for (text, message) in [
            (r#"{"type":"connection_init"}"#, Incoming::Init { payload: None }),
            (r#"{"type":"connection_init","payload":{"a":1}}"#, Incoming::Init { payload: payload.clone() }),
            (r#"{"type":"ping","payload":{"a":1}}"#, Incoming::Ping { payload }),
            (r#"{"type":"pong"}"#, Incoming::Pong),
            (r#"{"type":"complete","id":"1"}"#, Incoming::Complete { id: "1".into() }),
            (
                r#"{"id":"1","type":"subscribe","payload":{}}"#,
                Incoming::Subscribe { id: "1".into(), payload: Map::new() },
            ),
        ] {
            assert_eq!(Incoming::parse(text).unwrap(), message, "{text}");
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        let long = format!(r#"{{"type":"complete","id":"{}"}}"#, "x".repeat(129));
        for text in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"start"}"#,
            r#"{"type":"connection_init","payload":1}"#,
            r#"{"type":"pong","payload":"x"}"#,
            r#"{"type":"complete"}"#,
            r#"{"type":"complete","id":1}"#,
            r#"{"type":"complete","id":""}"#,
            r#"{"type":"subscribe","id":"1"}"#,
            r#"{"type":"subscribe","id":"1","payload":null}"#,
            &long,
        ] {
            assert!(Incoming::parse(text).is_err(), "{text}");
        }
    }
}
