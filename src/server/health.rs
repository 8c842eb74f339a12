//! `/livez`: the process answers. `/readyz`: it should get requests, and if not, why. `/health`: the same with what an
//! operator wants to know of each part.
//!
//! However many ask, at most one round of checks runs at a time, and its result serves everybody for a second.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::get,
};
use chrono::{DateTime, Utc};
use futures_util::future::{BoxFuture, join_all};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::{sync::Mutex, time::Instant};

use super::operator::Operators;
use crate::graphql::transport::Transport;

/// A check that takes longer has failed.
const CHECK_LIMIT: Duration = Duration::from_secs(1);

/// How long a result is good.
const FRESH: Duration = Duration::from_secs(1);

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    Ok,
    /// It works, and somebody should look.
    Warn,
    Fail,
}

/// What a check found.
#[derive(Debug, Clone)]
pub struct Finding {
    pub condition: Condition,
    /// For operators; never a secret or an address with one. An object, or `Null`.
    pub details: Value,
}

/// One part of being well.
pub struct Check {
    name: &'static str,
    /// Without it the process is not ready.
    is_required: bool,
    probe: Box<dyn Fn() -> BoxFuture<'static, Finding> + Send + Sync>,
}

impl Check {
    /// A part that must be well for the process to be ready. `probe` has a second to say true; `name` is its key in the
    /// answers.
    pub fn new<F, P>(name: &'static str, probe: P) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
        P: Fn() -> F + Send + Sync + 'static,
    {
        Self::required(name, move || {
            let answer = probe();
            async move {
                let condition = if answer.await { Condition::Ok } else { Condition::Fail };
                Finding { condition, details: Value::Null }
            }
        })
    }

    /// The same with details.
    pub fn required<F, P>(name: &'static str, probe: P) -> Self
    where
        F: Future<Output = Finding> + Send + 'static,
        P: Fn() -> F + Send + Sync + 'static,
    {
        Self { name, is_required: true, probe: Box::new(move || Box::pin(probe())) }
    }

    /// A part that only `/health` shows.
    pub fn informative<F, P>(name: &'static str, probe: P) -> Self
    where
        F: Future<Output = Finding> + Send + 'static,
        P: Fn() -> F + Send + Sync + 'static,
    {
        Self { is_required: false, ..Self::required(name, probe) }
    }

    async fn run(&self) -> Finding {
        let in_time = tokio::time::timeout(CHECK_LIMIT, (self.probe)()).await;
        in_time.unwrap_or_else(|_| Finding {
            condition: Condition::Fail,
            details: json!({ "reason": "the check took too long" }),
        })
    }
}

/// A finding, and since when the part has been so.
#[derive(Clone)]
struct Part {
    finding: Finding,
    since: DateTime<Utc>,
}

/// The parts after one round, in the order of the checks.
struct Round {
    at: Instant,
    parts: Arc<[Part]>,
}

struct Health {
    transport: Arc<Transport>,
    operators: Operators,
    checks: Vec<Check>,
    started: Instant,
    /// Locked for the whole of a round, so that who comes meanwhile waits for its result.
    last: Mutex<Option<Round>>,
}

/// The answer of `/readyz`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    is_ready: bool,
    /// True for what is well.
    parts: BTreeMap<&'static str, bool>,
}

pub(super) fn router(transport: Arc<Transport>, operators: Operators, checks: Vec<Check>) -> Router {
    let health = Health { transport, operators, checks, started: Instant::now(), last: Mutex::new(None) };
    Router::new()
        .route("/livez", get(|| async { Json(json!({ "isAlive": true })) }))
        .route("/readyz", get(readyz))
        .route("/health", get(health_page))
        .with_state(Arc::new(health))
}

async fn readyz(State(health): State<Arc<Health>>) -> (StatusCode, Json<Report>) {
    let report = health.report(&health.look().await);
    (status(report.is_ready), Json(report))
}

async fn health_page(State(health): State<Arc<Health>>, headers: HeaderMap) -> (StatusCode, Json<Value>) {
    let parts = health.look().await;
    let is_ready = health.report(&parts).is_ready;
    let worst = parts.iter().zip(&health.checks).map(|(part, check)| match part.finding.condition {
        Condition::Fail if !check.is_required => Condition::Warn,
        condition => condition,
    });
    let overall = if is_ready { worst.max().unwrap_or(Condition::Ok) } else { Condition::Fail };
    let body = match health.operators.admit(&headers) {
        true => health.page(overall, &parts),
        false => json!({ "status": overall }),
    };
    (status(is_ready), Json(body))
}

fn status(is_ready: bool) -> StatusCode {
    if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

impl Health {
    /// The parts as they are, or were at most a second ago.
    async fn look(&self) -> Arc<[Part]> {
        let mut last = self.last.lock().await;
        if let Some(round) = last.as_ref().filter(|round| round.at.elapsed() < FRESH) {
            return Arc::clone(&round.parts);
        }
        let findings = join_all(self.checks.iter().map(Check::run)).await;
        let now = self.transport.clock.now();
        let before = last.as_ref().map(|round| Arc::clone(&round.parts));
        let parts = findings.into_iter().enumerate().map(|(index, finding)| {
            let before = before.as_ref().and_then(|parts| parts.get(index));
            let unchanged = before.filter(|before| before.finding.condition == finding.condition);
            Part { since: unchanged.map_or(now, |before| before.since), finding }
        });
        let parts: Arc<[Part]> = parts.collect();
        *last = Some(Round { at: Instant::now(), parts: Arc::clone(&parts) });
        parts
    }

    fn is_running(&self) -> bool {
        self.transport.is_wanted()
    }

    fn report(&self, parts: &[Part]) -> Report {
        let required = self.checks.iter().zip(parts).filter(|(check, _)| check.is_required);
        let mut parts: BTreeMap<_, _> =
            required.map(|(check, part)| (check.name, part.finding.condition != Condition::Fail)).collect();
        parts.insert("running", self.is_running());
        Report { is_ready: parts.values().all(|is_ok| *is_ok), parts }
    }

    fn page(&self, overall: Condition, parts: &[Part]) -> Value {
        let parts = self.checks.iter().zip(parts).map(|(check, part)| {
            let mut fields = Map::from_iter([
                ("status".to_owned(), json!(part.finding.condition)),
                ("since".to_owned(), json!(part.since)),
            ]);
            if let Value::Object(details) = &part.finding.details {
                fields.extend(details.clone());
            }
            (check.name.to_owned(), Value::Object(fields))
        });
        json!({
            "status": overall,
            "version": env!("CARGO_PKG_VERSION"),
            "uptimeSeconds": self.started.elapsed().as_secs(),
            "isDraining": !self.is_running(),
            "parts": parts.collect::<Map<_, _>>(),
        })
    }
}
