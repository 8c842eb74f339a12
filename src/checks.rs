//! The parts of `/readyz` and `/health`. Details are for operators: numbers and states, never an address or a secret.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::{
    domains::generations::Generations,
    error::AppError,
    platform::postgres::{Db, Facts, NoConnection, listen::Hints, migrate, partitions},
    providers::registry::Registry,
    server::{Check, Condition, Finding},
};

/// The listener may be away for so long before anybody should look.
const PATIENCE_WITH_LISTENER: Duration = Duration::from_secs(30);

/// All checks of a process. What is required keeps it out of the load balancer; the rest only shows.
pub fn all(pools: [Db; 2], generations: Generations, providers: Registry, hints: Hints) -> Vec<Check> {
    let [requests, _] = &pools;
    let (requests, for_migrations, for_partitions) = (requests.clone(), requests.clone(), requests.clone());
    vec![
        // First, so that what the other checks ask for does not count as waiting.
        Check::informative("pools", move || std::future::ready(usage(&pools))),
        Check::required("database", move || database(requests.clone())),
        Check::required("streamLog", move || std::future::ready(stream_log(&generations))),
        Check::informative("migrations", move || migrations(for_migrations.clone())),
        Check::informative("partitions", move || months(for_partitions.clone())),
        Check::informative("listener", move || std::future::ready(listener(&hints))),
        Check::informative("providers", move || std::future::ready(last_calls(&providers))),
    ]
}

async fn database(db: Db) -> Finding {
    let facts = async { Ok::<_, AppError>(Facts::read(&mut *db.conn().await?).await?) };
    match facts.await {
        Ok(facts) => found(
            Condition::Ok,
            json!({
                "latencyMs": millis(facts.latency),
                "serverVersion": facts.version,
                "isEncrypted": facts.is_encrypted,
            }),
        ),
        // The words of the failure may hold the address, so they are in the log only.
        Err(error) => {
            tracing::debug!(error = error.chain(), "the database does not answer");
            found(Condition::Fail, json!({ "reason": reason(&error) }))
        }
    }
}

/// In words of ours.
fn reason(error: &AppError) -> &'static str {
    let source = std::error::Error::source(error);
    let refused = source.and_then(|source| source.downcast_ref::<NoConnection>());
    refused.map_or("the question was not answered", |refused| refused.reason)
}

async fn migrations(db: Db) -> Finding {
    let compared = async { Ok::<_, AppError>(migrate::compare(&mut *db.conn().await?).await?) };
    match compared.await {
        Ok(status) => {
            let condition = match (status.pending.is_empty(), status.unknown.is_empty()) {
                (true, true) => Condition::Ok,
                // A newer version has migrated already: this process is about to be replaced.
                (true, false) => Condition::Warn,
                (false, _) => Condition::Fail,
            };
            found(condition, json!({ "pending": status.pending, "unknown": status.unknown }))
        }
        Err(error) => found(Condition::Fail, json!({ "reason": reason(&error) })),
    }
}

async fn months(db: Db) -> Finding {
    match async { Ok::<_, AppError>(partitions::months_ahead(&mut *db.conn().await?).await?) }.await {
        Ok(months) => {
            let is_enough = months >= partitions::LEAST_AHEAD;
            let condition = if is_enough { Condition::Ok } else { Condition::Warn };
            found(condition, json!({ "monthsAhead": months }))
        }
        Err(error) => found(Condition::Fail, json!({ "reason": reason(&error) })),
    }
}

fn stream_log(generations: &Generations) -> Finding {
    let condition = if generations.is_writing() { Condition::Ok } else { Condition::Fail };
    found(
        condition,
        json!({
            "replicaId": generations.replica_id(),
            "sinceLastFlushMs": millis(generations.silence()),
            "running": generations.running(),
        }),
    )
}

/// Without hints everything works, only later; a short outage is nobody's business.
fn listener(hints: &Hints) -> Finding {
    if !hints.is_on() {
        return found(Condition::Ok, json!({ "isOn": false }));
    }
    let outage = hints.outage();
    let is_long = outage.is_some_and(|outage| outage > PATIENCE_WITH_LISTENER);
    found(
        if is_long { Condition::Warn } else { Condition::Ok },
        json!({ "isOn": true, "isConnected": outage.is_none(), "awayForSeconds": outage.map(|away| away.as_secs()) }),
    )
}

fn last_calls(providers: &Registry) -> Finding {
    let last = providers.standings().filter_map(|(key, standing)| Some((key, standing.get()?)));
    let mut condition = Condition::Ok;
    let mut details = Map::new();
    for (key, last) in last {
        if !last.is_ok {
            condition = Condition::Warn;
        }
        let known = json!({ "lastOutcome": last.outcome, "forSeconds": last.since.elapsed().as_secs() });
        details.insert(key.to_owned(), known);
    }
    found(condition, Value::Object(details))
}

fn usage(pools: &[Db]) -> Finding {
    let mut condition = Condition::Ok;
    let mut details = Map::new();
    for pool in pools {
        let usage = pool.usage();
        // Who opens a connection waits too; what matters is waiting while all are lent, or while there is none.
        let is_exhausted = usage.in_use >= usage.max || usage.in_use + usage.idle == 0;
        if usage.waiting > 0 && is_exhausted {
            condition = Condition::Warn;
        }
        let known =
            json!({ "max": usage.max, "inUse": usage.in_use, "idle": usage.idle, "waiting": usage.waiting });
        details.insert(pool.name().to_owned(), known);
    }
    found(condition, Value::Object(details))
}

fn found(condition: Condition, details: Value) -> Finding {
    Finding { condition, details }
}

/// Milliseconds with one decimal.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
