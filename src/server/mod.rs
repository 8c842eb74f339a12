//! The HTTP server: which routes there are, what is around all of them, and how it starts and stops.
//!
//! [`connections`] accepts and bounds connections, as far as [`descriptors`] go, [`stall`] ends those that take nothing,
//! [`health`] says whether the process lives and is ready, [`metrics`] what it counts, both to those that [`operator`] lets in,
//! [`published`] shows the schema and the error codes. Around
//! the routes of the API is [`compression`]; around every route are [`headers`] that bind browsers, what [`cors`] tells
//! them, and the refusals of [`layers`]. Every answer of this program has these headers and its request id, whatever its
//! status; only what the HTTP parser itself refuses (400, 414, 431) has no header at all.

mod compression;
mod connections;
mod cors;
pub mod descriptors;
mod headers;
mod health;
mod layers;
mod metrics;
mod operator;
mod published;
mod stall;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, middleware::from_fn_with_state, response::Redirect, routing::get};
use tokio::net::TcpListener;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

pub use health::{Check, Condition, Finding};
pub use metrics::Sample;
pub use operator::Operators;

use crate::{
    graphql::{
        Api, graphiql,
        transport::{self, Transport},
    },
    platform::{clock::Clock, places::Places, tasks::Tasks},
};

/// What a server is made of.
pub struct State {
    pub api: Api,
    pub tasks: Tasks,
    pub clock: Clock,
    /// Bounds of requests and sockets.
    pub settings: transport::Settings,
    /// What must be well for the process to be ready; that it is not shutting down is added.
    pub checks: Vec<Check>,
    /// Who may read metrics and the details of health.
    pub operators: Operators,
    /// Measures for the metrics what is not counted where it happens.
    pub sample: Sample,
    pub routes: Routes,
}

/// What there is to ask for, besides health and metrics.
pub enum Routes {
    /// The API, with the explorer if there are settings for it; `/` then leads there.
    All { graphiql: Option<graphiql::Settings> },
    /// Nothing: the process works in the background.
    Operators,
}

/// The HTTP server.
pub struct Server;

impl Server {
    /// Serves on `listener` until what it returns is drained or dropped. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// When the address of the listener cannot be read.
    pub fn start(state: State, listener: TcpListener) -> std::io::Result<Running> {
        let address = listener.local_addr()?;
        let closing = CancellationToken::new();
        let cut = CancellationToken::new();
        let connections = TaskTracker::new();
        let settings = state.settings.clone();
        let transport = Transport::new(state.api, state.tasks, state.clock, settings, closing.clone());
        let addresses = Places::new(transport.settings.connections_per_address);
        let router = health::router(Arc::clone(&transport), state.operators.clone(), state.checks)
            .merge(metrics::router(state.operators, state.sample));
        let router = around(&transport, router, state.routes);
        let accepting = connections::Accepting {
            listener,
            router,
            connections: connections.clone(),
            addresses: Arc::clone(&addresses),
            proxies: transport.settings.proxies.clone(),
            limits: connections::Limits {
                connections: transport.settings.connections,
                head: transport.settings.head,
                write_stall: transport.settings.write_stall,
            },
            closing: closing.clone(),
            cut: cut.clone(),
        };
        connections.spawn(accepting.run());
        let on_drop = (closing.clone().drop_guard(), cut.drop_guard());
        Ok(Running { address, transport, closing, connections, addresses, on_drop })
    }
}

/// A server that runs. Dropping it cuts every connection.
pub struct Running {
    /// Where it listens, with the port that the system chose.
    pub address: SocketAddr,
    transport: Arc<Transport>,
    closing: CancellationToken,
    connections: TaskTracker,
    addresses: Arc<Places<IpAddr>>,
    on_drop: (DropGuard, DropGuard),
}

impl Running {
    /// Operations that ended in a panic since the start.
    pub fn panics(&self) -> u64 {
        self.transport.panics()
    }

    /// Open connections, those included that have become sockets; not those of trusted proxies.
    pub fn open_connections(&self) -> usize {
        self.addresses.taken()
    }

    /// Bytes of bodies that are arriving, without what every body may have.
    pub fn body_bytes(&self) -> usize {
        self.transport.bodies.held()
    }

    /// Open sockets.
    pub fn open_sockets(&self) -> usize {
        self.transport.open_sockets.len()
    }

    /// Says on `/readyz` that no more requests should come, and takes those that do.
    pub fn retire(&self) {
        self.transport.retire();
    }

    /// Stops: not ready from now on and accepting nothing, sockets are closed with 1012, requests may finish. What
    /// still runs after `patience` is cut. True when nothing had to be.
    pub async fn drain(self, patience: Duration) -> bool {
        self.closing.cancel();
        self.connections.close();
        self.transport.open_sockets.close();
        let finished = async {
            self.connections.wait().await;
            self.transport.open_sockets.wait().await;
        };
        let is_clean = tokio::time::timeout(patience, finished).await.is_ok();
        drop(self.on_drop);
        is_clean
    }
}

/// The routes of operators with those that are wanted, and what is around all of them.
fn around(transport: &Arc<Transport>, operations: Router, routes: Routes) -> Router {
    let mut router = operations;
    if let Routes::All { graphiql } = routes {
        router = router
            .merge(transport::router(Arc::clone(transport)).layer(compression::layer()))
            .merge(published::router(Arc::clone(transport)));
        if let Some(settings) = graphiql {
            router = router
                .merge(graphiql::router(settings))
                .route("/", get(|| async { Redirect::temporary("/graphiql") }));
        }
    }
    // What comes later is further out: a refusal has the headers of every layer that stands below it here.
    router
        .method_not_allowed_fallback(layers::method_not_allowed)
        .fallback(layers::not_found)
        .layer(from_fn_with_state(Arc::clone(transport), layers::admit))
        .layer(cors::layer(transport.settings.sites.origins.clone()))
        .layer(from_fn_with_state(Arc::clone(transport), layers::complete))
}
