//! What watchers may not leave behind, or take from others: those that vanish, and those that hardly read.

mod slow_reader;
mod vanished;

use crate::support::cluster::variable;

/// True for the heavy tests at full size.
fn is_full() -> bool {
    variable("TEST_SCALE").is_some_and(|scale| scale == "full")
}

/// A document as it is sent over a socket.
fn subscribe(document: &str, variables: serde_json::Value) -> serde_json::Value {
    serde_json::json!({ "id": "1", "type": "subscribe", "payload": { "query": document, "variables": variables } })
}
