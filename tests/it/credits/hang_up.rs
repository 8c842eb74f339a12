//! Clients that send and hang up: a turn is accepted whole or not at all, and nothing is left open.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::books::{
    PATIENT, block_wallets, number, rows, wait_for_zero, wait_until_blocked, wait_until_settled,
};
use crate::support::{
    app::{MODEL, SEND, TestApp, new_key},
    client::Client,
    provider::Script,
};

/// Callers of each kind; together fewer than the pool has connections.
const CALLERS: usize = 8;

/// What somebody asked for.
struct Intent {
    key: String,
    variables: Value,
}

/// A message that has been written to a connection of its own.
struct Sending {
    intent: Intent,
    stream: TcpStream,
}

impl Sending {
    /// Writes the head and the given share of the body, in percent.
    async fn start(person: &Client, percent: usize) -> Self {
        let key = new_key();
        let variables = json!({ "input": {
            "parts": [{ "text": "Hi" }], "model": MODEL, "options": { "maxOutputTokens": 64 }, "idempotencyKey": key,
        } });
        let body = json!({ "query": SEND, "variables": variables }).to_string();
        let host = person.base_url.trim_start_matches("http://");
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            person.token.as_deref().unwrap(),
            body.len()
        );
        let mut stream = TcpStream::connect(host).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body.as_bytes()[..body.len() * percent / 100]).await.unwrap();
        Self { intent: Intent { key, variables }, stream }
    }

    /// Says that nothing more comes and waits until the server has given the connection up without an answer, and with
    /// it the request.
    async fn hang_up_and_wait(mut self) -> Intent {
        self.stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let read = self.stream.read_to_end(&mut rest);
        let end = tokio::time::timeout(Duration::from_secs(10), read).await;
        assert!(end.expect("the server lets go of a caller who left").is_ok());
        assert_eq!(String::from_utf8_lossy(&rest), "", "the caller left before the answer");
        self.intent
    }

    /// Resets the connection.
    fn cut(self) -> Intent {
        self.stream.set_zero_linger().unwrap();
        self.intent
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_hangs_up_leaves_a_whole_turn_or_none_and_nothing_open() {
    let app = TestApp::builder().settings(PATIENT).start().await;
    let person = app.client.sign_up().await;
    let url = &app.db.url;
    app.provider.always(Script::text("Yes.", 1).usage(5, 5));

    // Some are cut in the middle of their request.
    let mut halves = Vec::new();
    for _ in 0..CALLERS {
        halves.push(Sending::start(&person, 50).await.cut());
    }
    // Some leave while their statement waits in the database for the wallet.
    let mut blocker = block_wallets(url).await;
    let mut waiting = Vec::new();
    for _ in 0..CALLERS {
        waiting.push(Sending::start(&person, 100).await);
    }
    wait_until_blocked(url, CALLERS).await;
    let mut begun = Vec::new();
    for sending in waiting {
        begun.push(sending.hang_up_and_wait().await);
    }
    assert_eq!(number(url, "SELECT count(*) FROM holds").await, 0);
    blocker.batch_execute("COMMIT").await.unwrap();
    // What had begun is finished; half a request is none.
    wait_for_zero(url, &format!("SELECT {CALLERS} - count(*) FROM holds")).await;
    assert_eq!(number(url, &stored(&begun)).await, CALLERS as i64);
    assert_eq!(number(url, &stored(&halves)).await, 0);
    // Some leave at once: what becomes of them is a race, but never half a turn.
    let mut lost = Vec::new();
    for _ in 0..CALLERS {
        lost.push(Sending::start(&person, 100).await.cut());
        assert_whole(url).await;
    }

    // The same key tells every one of them what became of the message, and makes it so where nothing did.
    for intent in halves.iter().chain(&begun).chain(&lost) {
        let answer = person.gql(SEND, intent.variables.clone()).await;
        assert_eq!(answer.user_errors("sendMessage"), &[] as &[Value]);
    }
    wait_until_settled(url).await;
    assert_whole(url).await;
    assert_eq!(number(url, "SELECT count(*) FROM holds").await, 3 * CALLERS as i64);
    assert_eq!(app.provider.calls(), 3 * CALLERS);
    assert_eq!(person.balance().await, ("99.760000".to_owned(), "0.000000".to_owned()));
    let open =
        "FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    assert_eq!(number(url, &format!("SELECT count(*) {open}")).await, 0);
    assert_eq!(app.app.generations.running(), 0);
    println!("hang up n={} ok", 3 * CALLERS);
    app.close().await;
}

/// How many of the intents have had an effect.
fn stored(intents: &[Intent]) -> String {
    let keys: Vec<String> = intents.iter().map(|intent| format!("'{}'", intent.key)).collect();
    format!("SELECT count(*) FROM idempotency_keys WHERE key IN ({})", keys.join(", "))
}

/// In one look: every key has its run, its hold, its conversation and both messages, and the other way round.
async fn assert_whole(url: &str) {
    let halves = "SELECT k.key, g.id AS generation, h.id AS hold, a.id AS answer, u.id AS question, c.id AS conversation
        FROM idempotency_keys k
        FULL JOIN generations g ON g.message_id = (k.result->>'answer_id')::uuid
        FULL JOIN holds h ON h.id = g.id
        FULL JOIN (SELECT * FROM messages WHERE role = 'assistant') a ON a.id = g.message_id
        FULL JOIN (SELECT * FROM messages WHERE role = 'user') u ON u.id = a.parent_id
        FULL JOIN conversations c ON c.head_id = a.id
        WHERE k.key IS NULL OR g.id IS NULL OR h.id IS NULL OR a.id IS NULL OR u.id IS NULL OR c.id IS NULL";
    assert_eq!(rows(url, halves).await, Vec::<Value>::new());
}
