//! The model provider: a real listener on loopback that speaks the chat format of OpenAI, in threads of its own. The
//! last message says what to answer, such as `tokens=500 gap_us=20000 id=7`.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use async_stream::stream;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};

/// Tokens that a provider in a hurry sends at once.
const BURST: u64 = 32;

/// Who wants to know when the connection of an answer is closed, by the id of the answer.
type Closings = Arc<Mutex<HashMap<u64, oneshot::Sender<Instant>>>>;

/// A provider that runs as long as the process.
pub struct Provider {
    pub base_url: String,
    closings: Closings,
}

/// What is asked of it.
#[derive(Clone, Copy)]
pub struct Order {
    pub id: u64,
    pub tokens: u64,
    /// Zero for as fast as it goes.
    pub gap: Duration,
    /// After so many tokens nothing more comes, and no end.
    pub silent_after: u64,
}

impl Order {
    pub fn paced(tokens: u64, per_second: u32) -> Self {
        Self { id: 0, tokens, gap: Duration::from_secs(1) / per_second, silent_after: u64::MAX }
    }

    pub fn burst(tokens: u64) -> Self {
        Self { id: 0, tokens, gap: Duration::ZERO, silent_after: u64::MAX }
    }

    /// A first token, and then nothing.
    pub fn silent() -> Self {
        Self { id: 0, tokens: 2, gap: Duration::ZERO, silent_after: 1 }
    }

    /// As the text of a message.
    pub fn text(self) -> String {
        let Self { id, tokens, gap, silent_after } = self;
        format!("id={id} tokens={tokens} gap_us={} silent_after={silent_after}", gap.as_micros())
    }

    /// The order in the last message of a request.
    fn of(request: &Value) -> Self {
        let messages = request["messages"].as_array().unwrap();
        let text = messages.last().unwrap()["content"].as_str().unwrap();
        let number = |name: &str| -> u64 {
            let word = text.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            word.unwrap().parse().unwrap()
        };
        Self {
            id: number("id"),
            tokens: number("tokens"),
            gap: Duration::from_micros(number("gap_us")),
            silent_after: number("silent_after"),
        }
    }

    /// The body of a request for it, as the product sends it.
    pub fn request(self) -> Value {
        json!({ "model": "bench", "stream": true, "messages": [{ "role": "user", "content": self.text() }] })
    }
}

impl Provider {
    pub fn start() -> Self {
        let closings = Closings::default();
        let (ready, address) = mpsc::channel();
        let state = closings.clone();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
                    let _ = stream.set_nodelay(true);
                });
                axum::serve(listener, Router::new().fallback(answer).with_state(state)).await.unwrap();
            });
        });
        Self { base_url: format!("http://{}/v1", address.recv().unwrap()), closings }
    }

    /// When the connection of this answer is closed before its end.
    pub fn closing(&self, id: u64) -> oneshot::Receiver<Instant> {
        let (closed, closing) = oneshot::channel();
        self.closings.lock().unwrap().insert(id, closed);
        closing
    }
}

/// Says when it goes.
struct Open(u64, Closings);

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(closed) = self.1.lock().unwrap().remove(&self.0) {
            let _ = closed.send(Instant::now());
        }
    }
}

async fn answer(State(closings): State<Closings>, body: Bytes) -> Response {
    let order = Order::of(&serde_json::from_slice(&body).unwrap());
    let open = Open(order.id, closings);
    let events = stream! {
        let _open = open;
        let begun = tokio::time::Instant::now();
        let mut sent = 0;
        while sent < order.tokens.min(order.silent_after) {
            let count = if order.gap.is_zero() { BURST } else { 1 };
            let chunk: String = (0..count.min(order.tokens.min(order.silent_after) - sent)).map(|_| token()).collect();
            yield Ok::<_, Infallible>(chunk);
            sent += count;
            tokio::time::sleep_until(begun + order.gap * u32::try_from(sent).unwrap()).await;
        }
        if sent < order.tokens {
            std::future::pending::<()>().await;
        }
        yield Ok(chunk(json!({}), json!("stop")) + "data: [DONE]\n\n");
    };
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}

fn token() -> String {
    chunk(json!({ "content": crate::stamps::token() }), Value::Null)
}

fn chunk(delta: Value, finish: Value) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
    let chunk = json!({ "id": "chatcmpl-bench", "object": "chat.completion.chunk", "choices": [choice] });
    format!("data: {chunk}\n\n")
}
