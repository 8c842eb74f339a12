//! GraphQL over HTTP, server-sent events and WebSocket, on one path.
//!
//! Owns how a request is read, who is asking, what is refused before the engine sees it, and how an answer is
//! written. Both transports go the same way: [`request`] reads and guards, [`credentials`] says who calls,
//! [`execution`] runs, [`answer`] writes. Whose pages may call is said by [`sites`], where a client is by [`proxies`].
//! Invariants:
//!
//! - no document reaches the engine that the guard has not passed;
//! - every error has `extensions.code` and `extensions.requestId`;
//! - a mutation that has begun is not cut by a client that hangs up;
//! - nothing waits without a limit of [`Settings`].

pub mod answer;
mod bodies;
mod caller;
mod credentials;
mod execution;
mod http;
mod liveness;
mod measure;
pub mod negotiation;
mod origin;
mod persisted;
mod prefer;
mod preflight;
mod proxies;
mod rate_headers;
mod request;
mod request_id;
mod settings;
mod sites;
mod sse;
pub mod ws;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    response::Response,
    routing,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

pub use bodies::too_large;
pub use preflight::HEADERS as PREFLIGHT_HEADERS;
pub use proxies::TrustedProxies;
pub use rate_headers::{RATE_LIMIT, RATE_LIMIT_POLICY};
pub use request_id::{HEADER as REQUEST_ID, of as request_id_of};
pub use settings::Settings;
pub use sites::{Origins, Sites, is_loopback_name};

use answer::Refusal;

use crate::{
    error::AppError,
    graphql::{Api, rates::Spent},
    platform::{clock::Clock, places::Places, postgres::rate_limits::Outcome, tasks::Tasks},
};

/// Path of the API.
pub const PATH: &str = "/graphql";

/// What both transports share.
pub struct Transport {
    pub(crate) api: Api,
    pub(crate) tasks: Tasks,
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
    /// Cancelled when the server stops: sockets close with 1012.
    pub(crate) closing: CancellationToken,
    /// Open sockets; they live outside the connections that they began as.
    pub(crate) open_sockets: TaskTracker,
    sockets: Arc<ws::Sockets>,
    /// Room for bodies that arrive.
    pub(crate) bodies: Arc<bodies::Bodies>,
    /// Streams of events by user.
    streams: Arc<Places<Uuid>>,
    is_retiring: AtomicBool,
    /// What clients may name by its hash.
    documents: persisted::Documents,
    panics: AtomicU64,
    operation_names: Arc<measure::OperationNames>,
}

impl Transport {
    /// `closing` is the owner's signal that no socket may stay.
    pub fn new(
        api: Api,
        tasks: Tasks,
        clock: Clock,
        settings: Settings,
        closing: CancellationToken,
    ) -> Arc<Self> {
        // A client that lives answers each ping; a quarter of the pause is more than the way there and back.
        let missed = settings.ping + settings.ping / 4;
        let sockets = ws::Sockets::new(settings.sockets_per_address, settings.sockets_per_user, missed);
        let bodies =
            bodies::Bodies::new(settings.body_bytes_in_flight, settings.body_bytes_in_flight_per_address);
        let streams = Places::new(settings.sockets_per_user * settings.operations_per_socket);
        Arc::new(Self {
            api,
            tasks,
            clock,
            settings,
            closing,
            open_sockets: TaskTracker::new(),
            sockets: Arc::new(sockets),
            bodies,
            streams,
            is_retiring: AtomicBool::new(false),
            documents: persisted::Documents::default(),
            panics: AtomicU64::new(0),
            operation_names: Arc::default(),
        })
    }

    /// Wants no more requests, and still takes those that come.
    pub(crate) fn retire(&self) {
        self.is_retiring.store(true, Ordering::Relaxed);
    }

    /// True until the process retires or stops.
    pub(crate) fn is_wanted(&self) -> bool {
        let is_stopping = self.closing.is_cancelled() || self.tasks.draining().is_cancelled();
        !is_stopping && !self.is_retiring.load(Ordering::Relaxed)
    }

    /// Operations that ended in a panic since the start.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    pub(crate) fn count_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }
}

/// The route of the API. Expects in the extensions of a request its [`RequestId`](crate::graphql::RequestId), what its
/// caller accepts ([`negotiation::Acceptable`]) and the address of the peer ([`axum::extract::ConnectInfo`]).
pub fn router(transport: Arc<Transport>) -> Router {
    Router::new().route(PATH, routing::any(dispatch)).with_state(transport)
}

/// Opens a socket for who wants one; all else, of every method, is a request. Both are counted before anything is read.
async fn dispatch(
    transport: State<Arc<Transport>>,
    peer: origin::Peer,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    let (counted, spending) = (transport.api.allowances.request(peer.address).await, peer.spending.clone());
    let mut response = if let Some(Outcome::Refused { retry_after, .. }) = counted {
        too_many(retry_after).into_response(&peer.request_id, peer.acceptable.for_refusal())
    } else if ws::is_wanted(request.method(), request.headers()) {
        ws::open(transport, peer, request.headers(), upgrade)
    } else {
        http::answer(transport, peer, request).await
    };
    let points = spending.get().and_then(Spent::outcome);
    rate_headers::describe(response.headers_mut(), counted, points);
    response
}

fn too_many(retry_after: Duration) -> Refusal {
    AppError::rate_limited("Too many requests came from this address. Please wait.", retry_after).into()
}
