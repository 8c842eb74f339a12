//! What must not grow without end, cleared every ten minutes by every process: each round does a bounded part, and what
//! two processes do at once is done once.

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{
    domains::accounts::Accounts,
    error::Result,
    jobs,
    platform::{
        clock::Clock,
        metrics::names,
        postgres::{Db, idempotency, partitions, replicas},
    },
};

const PACE: Duration = Duration::from_secs(600);
/// Rows of one kind removed in one round.
const ROUND: i64 = 5_000;

/// Clears until `stop` is cancelled, first of all at the start.
pub async fn run(db: Db, accounts: Accounts, clock: Clock, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        match clear(&db, &accounts).await {
            Ok(()) => names::HOUSEKEEPING.set([], clock.seconds()),
            Err(error) => {
                tracing::warn!(error = error.chain(), "housekeeping failed; the next round tries again");
            }
        }
    }
}

async fn clear(db: &Db, accounts: &Accounts) -> Result<()> {
    let mut conn = db.conn().await?;
    partitions::ensure(&mut conn).await?;
    let keys = idempotency::prune(&mut conn, ROUND).await?;
    let processes = replicas::prune(&mut conn).await?;
    let jobs = jobs::prune(&mut conn, ROUND).await?;
    let sessions = accounts.prune(&mut conn, ROUND).await?;
    tracing::debug!(keys, processes, sessions, jobs, "cleared what is over");
    Ok(())
}
