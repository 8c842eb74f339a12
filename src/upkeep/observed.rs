//! Results of the upkeep as metrics. Any process may have done it, so every process reads them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::{
    domains::credits,
    error::Result,
    platform::{
        metrics::names,
        postgres::{Db, partitions},
        tasks::every,
    },
};

const PACE: Duration = Duration::from_secs(5);
/// A look that takes longer has not heard of the server, and is given up.
const LIMIT: Duration = Duration::from_secs(5);

/// Keeps the metrics up until `stop` is cancelled.
pub async fn observe(db: Db, stop: CancellationToken) {
    let mut ticks = every(PACE);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        if let Err(error) = read(&db).await {
            tracing::debug!(error = error.chain(), "the results of the upkeep cannot be read; trying again");
        }
    }
}

async fn read(db: &Db) -> Result<()> {
    let found = db.within(LIMIT, async |conn| {
        Ok((partitions::months_ahead(conn).await?, credits::last_check(conn).await?))
    });
    let (months, last_check) = found.await?;
    names::PARTITION_MONTHS.set([], float(months));
    if let Some((checked_at, differences)) = last_check {
        names::LEDGER_CHECKED.set([], seconds(checked_at));
        names::LEDGER_DIFFERENCES.set([], float(differences));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn float(count: i64) -> f64 {
    count as f64
}

fn seconds(at: DateTime<Utc>) -> f64 {
    float(at.timestamp())
}
