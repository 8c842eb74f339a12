//! `/livez`: the process answers. `/readyz`: it should get requests, and if not, why.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use futures_util::future::{BoxFuture, join_all};
use serde::Serialize;

use crate::graphql::transport::Transport;

/// A check that takes longer has failed.
const CHECK_LIMIT: Duration = Duration::from_secs(1);

/// One condition of being ready.
pub struct Check {
    name: &'static str,
    probe: Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>,
}

impl Check {
    /// `probe` is asked for every request to `/readyz` and has a second to say true; `name` is its key in the answer.
    pub fn new<F, P>(name: &'static str, probe: P) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
        P: Fn() -> F + Send + Sync + 'static,
    {
        Self { name, probe: Box::new(move || Box::pin(probe())) }
    }

    async fn is_ok(&self) -> bool {
        tokio::time::timeout(CHECK_LIMIT, (self.probe)()).await.unwrap_or(false)
    }
}

/// The answer of `/readyz`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    is_ready: bool,
    /// True for what is well.
    parts: BTreeMap<&'static str, bool>,
}

#[derive(Clone)]
struct Readiness {
    transport: Arc<Transport>,
    checks: Arc<[Check]>,
}

pub(super) fn router(transport: Arc<Transport>, checks: Vec<Check>) -> Router {
    Router::new()
        .route("/livez", get(|| async { Json(serde_json::json!({ "isAlive": true })) }))
        .route("/readyz", get(readyz))
        .with_state(Readiness { transport, checks: checks.into() })
}

async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, Json<Report>) {
    let transport = &readiness.transport;
    let is_running = transport.is_wanted();
    let results = join_all(readiness.checks.iter().map(Check::is_ok)).await;
    let mut parts: BTreeMap<_, _> = readiness.checks.iter().map(|check| check.name).zip(results).collect();
    parts.insert("running", is_running);
    let is_ready = parts.values().all(|is_ok| *is_ok);
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Report { is_ready, parts }))
}
