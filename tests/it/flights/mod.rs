//! What a turn asks of the database, counted on the wire between them, and that it takes no more when an answer is long or
//! its watchers are slow. What each operation asks for is in `budgets`.

mod accounts;
mod stalled;
mod turns;

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::rates::plenty;
use crate::support::{
    app::{TestApp, WATCH},
    client::Client,
    db::TestDb,
    provider::{Gate, Script},
    proxy::{Flight, Proxy},
    traffic::of_requests,
    ws::{Event, Socket, Subscription},
};

/// The application behind the proxy, and one person who uses it.
struct Stage {
    app: TestApp,
    proxy: Proxy,
    person: Client,
}

/// What one turn cost.
struct Turn {
    until_call: Vec<Flight>,
    all: Vec<Flight>,
    /// From the first token to the end.
    lasted: Duration,
}

impl Stage {
    async fn start(settings: &str) -> Self {
        let db = TestDb::create().await;
        let proxy = Proxy::start(&db.url).await;
        let app = TestApp::builder()
            .settings(settings)
            .outside_development()
            .rates(plenty())
            .database_through(|_| proxy.url().to_owned(), &db)
            .start_over(db)
            .await;
        let person = app.client.sign_up().await;
        Self { app, proxy, person }
    }

    /// Sends, watches from before the provider answers, and reads to the end.
    async fn turn(&self, socket: &Socket, conversation: Option<&str>, answer: Script) -> Turn {
        let (mark, calls, gate) = (self.proxy.count(), self.app.provider.calls(), Gate::default());
        self.app.provider.then(answer.gate(&gate));
        let sent = self.person.send_text("Hello", json!({ "conversationId": conversation })).await;
        assert_eq!(sent["userErrors"], json!([]));
        self.app.provider.called(calls + 1).await;
        let until_call = of_requests(self.proxy.since(mark));
        let id = &sent["assistantMessage"]["id"];
        let mut watch = socket.subscribe(WATCH, json!({ "id": id })).await;
        assert_eq!(event(&mut watch).await["__typename"], "MessageSnapshot");
        gate.open();
        let begun = Instant::now();
        while event(&mut watch).await["__typename"] != "MessageFinished" {}
        Turn { until_call, all: of_requests(self.proxy.since(mark)), lasted: begun.elapsed() }
    }

    /// The cheapest of a few turns: a machine that stands still within a burst has cut it in two.
    async fn best_turn(&self, socket: &Socket, conversation: Option<&str>, tokens: usize) -> Turn {
        let mut best = self.turn(socket, conversation, burst(tokens)).await;
        for _ in 0..9 {
            if best.all.len() <= 5 {
                break;
            }
            let turn = self.turn(socket, conversation, burst(tokens)).await;
            if turn.all.len() < best.all.len() {
                best = turn;
            }
        }
        best
    }

    /// Takes turns until none of their statements has to be prepared any more.
    async fn warm_up(&self, socket: &Socket) {
        for _ in 0..40 {
            let turn = self.turn(socket, None, burst(3)).await;
            if !turn.all.iter().any(|flight| flight.is_preparation) {
                return;
            }
        }
        panic!("statements are prepared again and again");
    }
}

async fn event(watch: &mut Subscription) -> Value {
    match watch.next().await {
        Event::Next(event) => event["data"]["messageStream"].clone(),
        other => panic!("the stream ended early: {other:?}"),
    }
}

/// An answer of so many tokens that arrives in one piece.
fn burst(tokens: usize) -> Script {
    let mut body = String::new();
    for _ in 0..tokens {
        let choice = json!({ "index": 0, "delta": { "content": "sea " }, "finish_reason": null });
        writeln!(body, "data: {}\n", json!({ "choices": [choice] })).unwrap();
    }
    let last = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": tokens + 5 } });
    write!(body, "data: {last}\n\ndata: [DONE]\n\n").unwrap();
    Script::raw(body)
}
