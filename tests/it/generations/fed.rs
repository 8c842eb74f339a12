//! Answers that are fed by the test and read by a reader: what the tests of streams have in common.

use serde_json::json;

use crate::support::{
    app::new_key,
    client::Client,
    feed::Feed,
    provider::ScriptedProvider,
    reader::{Got, Reader},
    ws::Socket,
};

/// Room for many answers of one person, all over one address.
pub const ROOMY: &str = "[limits]\nsockets_per_user = 1000\nsockets_per_address = 1000\n";

/// A running answer.
pub struct Fed {
    pub message_id: String,
    pub generation_id: String,
    pub conversation_id: String,
    pub feed: Feed,
    pub reader: Reader,
}

impl Fed {
    /// Asks for an answer of these pieces; the provider has been called when this returns, and has said nothing.
    pub async fn start(provider: &ScriptedProvider, person: &Client, pieces: &[String]) -> Self {
        Self::start_under(&new_key(), provider, person, pieces).await
    }

    /// The same under an idempotency key of the test's.
    pub async fn start_under(
        key: &str,
        provider: &ScriptedProvider,
        person: &Client,
        pieces: &[String],
    ) -> Self {
        let (script, feed) = Feed::new(pieces);
        let calls = provider.calls();
        provider.then(script);
        let sent = Self::send(key, person).await;
        assert_eq!(sent["userErrors"], json!([]), "{sent}");
        provider.called(calls + 1).await;
        let id = |value: &serde_json::Value| value["id"].as_str().unwrap().to_owned();
        let message_id = id(&sent["assistantMessage"]);
        Self {
            reader: Reader::new(&message_id),
            message_id,
            generation_id: id(&sent["assistantMessage"]["generation"]),
            conversation_id: id(&sent["conversation"]),
            feed,
        }
    }

    /// Asks as [`Self::start_under`] does, or again.
    pub async fn send(key: &str, person: &Client) -> serde_json::Value {
        let more = json!({ "idempotencyKey": key, "options": { "maxOutputTokens": 1000 } });
        person.send_text("Go on.", more).await
    }

    /// Starts as many as there are answers given.
    pub async fn start_all(
        provider: &ScriptedProvider,
        person: &Client,
        answers: &[Vec<String>],
    ) -> Vec<Self> {
        let mut started = Vec::new();
        for pieces in answers {
            started.push(Self::start(provider, person, pieces).await);
        }
        started
    }

    /// Watches after what the reader has.
    pub async fn watch(&mut self, socket: &Socket) {
        self.reader.watch(socket).await;
    }

    /// Reads and feeds until the reader has at least so many bytes. What is fed beyond that is at most a piece.
    pub async fn read_until(&mut self, bytes: usize) {
        while self.reader.sequence.is_none() || self.reader.text.len() < bytes {
            self.feed.give_after(self.reader.text.len());
            let got = self.reader.next().await;
            assert!(matches!(got, Got::Snapshot | Got::Delta), "{got:?}");
        }
    }

    /// Reads and feeds until the stream is complete; the end of it.
    pub async fn read_to_end(&mut self) -> &serde_json::Value {
        self.feed.give_all();
        self.reader.read_to_end().await
    }
}
