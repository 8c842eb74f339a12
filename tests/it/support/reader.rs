//! A reader of one answer, as an application would be: it puts the events together, comes back after a break with the
//! number of the last one, and insists on the promises of the stream at every event.

use serde_json::{Value, json};

use super::{
    app::WATCH,
    ws::{Event, Socket, Subscription},
};

/// What a reader has of an answer.
pub struct Reader {
    pub message_id: String,
    /// Of the answer, without its thoughts.
    pub text: String,
    /// Number of the newest event; `None` before the first.
    pub sequence: Option<i64>,
    pub snapshots: usize,
    pub deltas: usize,
    /// The terminal event.
    pub end: Option<Value>,
    watch: Option<Subscription>,
}

/// What a reader got.
#[derive(Debug, Clone, PartialEq)]
pub enum Got {
    Snapshot,
    Delta,
    End,
    /// The stream is complete.
    Complete,
    /// The socket ended, with its code.
    Closed(u16),
}

impl Reader {
    /// Knows nothing yet and does not watch.
    pub fn new(message_id: impl Into<String>) -> Self {
        Self {
            message_id: message_id.into(),
            text: String::new(),
            sequence: None,
            snapshots: 0,
            deltas: 0,
            end: None,
            watch: None,
        }
    }

    /// Watches from the beginning.
    pub async fn open(socket: &Socket, message_id: impl Into<String>) -> Self {
        let mut reader = Self::new(message_id);
        reader.watch(socket).await;
        reader
    }

    /// Watches, after what it has.
    pub async fn watch(&mut self, socket: &Socket) {
        let variables = json!({ "id": self.message_id, "after": self.sequence });
        self.watch = Some(socket.subscribe(WATCH, variables).await);
    }

    /// Stops watching.
    pub fn leave(&mut self) {
        self.watch = None;
    }

    /// The next event. Everything that must hold of it is asserted.
    pub async fn next(&mut self) -> Got {
        match self.watch.as_mut().expect("a reader that watches").next().await {
            Event::Next(payload) => {
                assert!(payload.get("errors").is_none(), "{payload}");
                self.take(payload["data"]["messageStream"].clone())
            }
            Event::Complete => Got::Complete,
            Event::Closed(code) => Got::Closed(code),
            Event::Error(errors) => panic!("{errors}"),
        }
    }

    /// Takes an event that came another way; null is the completion, which brings nothing.
    pub fn replay(&mut self, event: &Value) {
        if !event.is_null() {
            self.take(event.clone());
        }
    }

    fn take(&mut self, event: Value) -> Got {
        assert!(self.end.is_none(), "after the end: {event}");
        assert_eq!(event["messageId"], json!(self.message_id));
        let sequence = event["sequence"].as_i64().unwrap();
        let before = self.sequence.replace(sequence);
        let text = event["text"].as_str().unwrap_or_default();
        match event["__typename"].as_str().unwrap() {
            "MessageSnapshot" => {
                assert!(before.is_none_or(|before| before <= sequence), "back from {before:?}: {event}");
                self.snapshots += 1;
                self.text = event["message"]["text"].as_str().unwrap().to_owned();
                return Got::Snapshot;
            }
            "TextDelta" => self.text.push_str(text),
            "ReasoningDelta" => {}
            _ => self.end = Some(event.clone()),
        }
        assert_eq!(Some(sequence - 1), before, "a hole before {event}");
        if self.end.is_some() {
            return Got::End;
        }
        self.deltas += 1;
        Got::Delta
    }

    /// Reads until the stream is complete, which it is right after its one terminal event.
    pub async fn read_to_end(&mut self) -> &Value {
        loop {
            match self.next().await {
                Got::Complete => return self.end.as_ref().expect("a terminal event before the completion"),
                Got::Closed(code) => panic!("the socket was closed with {code}"),
                _ => {}
            }
        }
    }
}
