//! A scripted model provider: a real listener on loopback that speaks the chat format of OpenAI, does exactly what the
//! test says, and remembers what it was sent.
//!
//! ```ignore
//! let provider = ScriptedProvider::start().await;
//! provider.then(Script::text("Hello there", 2).usage(12, 2));   // once, then the default answer again
//! provider.always(Script::status(429).header("retry-after", "7"));
//!
//! let gate = Gate::default();
//! provider.then(Script::text("one two three", 3).gate_after(1, &gate));
//! // ... the client has "one" and waits ...
//! gate.open();
//!
//! provider.called(1).await;
//! assert_eq!(provider.requests()[0].body["model"], "test-model");
//! ```

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_stream::stream;
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, State},
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, header},
};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::script::Script;
use self::script::Step;

#[path = "provider_script.rs"]
mod script;

/// A provider that runs until it is dropped.
pub struct ScriptedProvider {
    base_url: String,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

/// What the provider was sent.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Where the call came from; calls over one connection have it in common.
    pub peer: SocketAddr,
    pub path: String,
    pub headers: HeaderMap,
    /// Null when it was not JSON.
    pub body: Value,
}

impl Recorded {
    /// A header as text; `None` when it is missing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Closed until the test opens it, for every script that waits for it.
#[derive(Debug, Clone, Default)]
pub struct Gate(CancellationToken);

impl Gate {
    pub fn open(&self) {
        self.0.cancel();
    }
}

struct Shared {
    scripts: Mutex<Scripts>,
    requests: Mutex<Vec<Recorded>>,
    calls: watch::Sender<Calls>,
    stop: CancellationToken,
}

struct Scripts {
    default: Script,
    queue: VecDeque<Script>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Calls {
    begun: usize,
    open: usize,
}

impl ScriptedProvider {
    /// Listens on a free port of loopback, with [`Script::default`] as the answer to everything.
    pub async fn start() -> Self {
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            scripts: Mutex::new(Scripts { default: Script::default(), queue: VecDeque::new() }),
            requests: Mutex::default(),
            calls: watch::Sender::default(),
            stop: stop.clone(),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let server = axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned());
        #[expect(clippy::disallowed_methods, reason = "the drop guard ends it")]
        tokio::spawn(server.into_future());
        Self { base_url, shared, _stop: stop.drop_guard() }
    }

    /// Address to configure as the provider's, ending in `/v1`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Answers so when nothing is queued.
    pub fn always(&self, script: Script) {
        lock(&self.shared.scripts).default = script;
    }

    /// Queues an answer for one call.
    pub fn then(&self, script: Script) {
        lock(&self.shared.scripts).queue.push_back(script);
    }

    /// Calls so far.
    pub fn calls(&self) -> usize {
        self.shared.calls.borrow().begun
    }

    /// What was sent, oldest first.
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.shared.requests).clone()
    }

    /// Returns once there were at least `count` calls.
    pub async fn called(&self, count: usize) {
        self.shared.calls.subscribe().wait_for(|calls| calls.begun >= count).await.unwrap();
    }

    /// Returns once no answer is open: each was read to its end or given up by the client.
    pub async fn idle(&self) {
        self.shared.calls.subscribe().wait_for(|calls| calls.open == 0).await.unwrap();
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let body = serde_json::from_slice(&body).unwrap_or_default();
    lock(&shared.requests).push(Recorded { peer, path: uri.path().to_owned(), headers, body });
    let script = {
        let mut scripts = lock(&shared.scripts);
        scripts.queue.pop_front().unwrap_or_else(|| scripts.default.clone())
    };
    let open = OpenCall::begin(&shared);
    if let Some(gate) = &script.head_gate {
        tokio::select! {
            () = gate.0.cancelled() => {}
            () = shared.stop.cancelled() => {}
        }
    }
    let mut response = Response::new(Body::from_stream(play(script.steps(), shared.stop.clone(), open)));
    *response.status_mut() = StatusCode::from_u16(script.status).unwrap();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(script.content_type()));
    for (name, value) in &script.headers {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    response
}

fn play(
    steps: Vec<Step>,
    stop: CancellationToken,
    open: OpenCall,
) -> impl futures_util::Stream<Item = Result<Bytes, &'static str>> {
    let script = stream! {
        let _open = open;
        for step in steps {
            match step {
                Step::Send(bytes) => yield Ok(bytes),
                Step::Wait(gate) => gate.0.cancelled().await,
                Step::Stall => std::future::pending().await,
                Step::Drip => loop {
                    yield Ok(Bytes::from_static(b": still here\n\n"));
                    tokio::time::sleep(Duration::from_millis(5)).await;
                },
                Step::Break => {
                    // What was sent leaves before the connection goes down.
                    tokio::task::yield_now().await;
                    yield Err("the script breaks the connection");
                }
            }
        }
    };
    script.take_until(stop.cancelled_owned())
}

/// Counts a call as open until its answer is dropped.
struct OpenCall(Arc<Shared>);

impl OpenCall {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.calls.send_modify(|calls| {
            calls.begun += 1;
            calls.open += 1;
        });
        Self(shared.clone())
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.calls.send_modify(|calls| calls.open -= 1);
    }
}

/// A panic in one test task must not hide what the others recorded.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
