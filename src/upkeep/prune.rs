//! What must not grow without end.

use std::time::Duration;

use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    domains::{accounts::Accounts, conversations, generations},
    error::Result,
    jobs::{self, Failure, Job, Run, cron},
    platform::postgres::{idempotency, rate_limits, replicas, revocations},
};

/// Rows removed in one transaction.
const ROUND: i64 = 2_000;
/// No transaction begins so shortly before the end of the attempt; what is left then is for the next tick.
const MARGIN: Duration = Duration::from_secs(20);

/// Removes one kind of row that is over.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prune {
    IdempotencyKeys,
    Sessions,
    Revocations,
    Jobs,
    Replicas,
    CronTicks,
    RateLimits,
    OneShots,
    ConversationEvents,
}

impl Job for Prune {
    const NAME: &'static str = "upkeep.prune";
    const MAX_ATTEMPTS: i16 = 3;
    const PRIORITY: i16 = 200;
    const LIMIT: Duration = Duration::from_secs(120);
    type Context = Accounts;

    async fn run(self, accounts: Accounts, run: Run) -> Result<(), Failure> {
        let mut total = 0;
        while Instant::now() + MARGIN < run.deadline() {
            let accounts = accounts.clone();
            let removed =
                run.transaction(move |conn| async move { self.round(conn, &accounts).await }.boxed()).await?;
            total += removed;
            if i64::try_from(removed).is_ok_and(|removed| removed < ROUND) {
                break;
            }
        }
        tracing::debug!(rows = total, kind = ?self, "cleared what is over");
        Ok(())
    }
}

impl Prune {
    async fn round(self, conn: &mut AsyncPgConnection, accounts: &Accounts) -> Result<usize> {
        Ok(match self {
            Self::IdempotencyKeys => idempotency::prune(conn, ROUND).await?,
            Self::Sessions => accounts.prune(conn, ROUND).await?,
            Self::Revocations => revocations::prune(conn, ROUND).await?,
            Self::Jobs => jobs::prune(conn, ROUND).await?,
            Self::Replicas => replicas::prune(conn).await?,
            Self::CronTicks => cron::prune_ticks(conn).await?,
            Self::RateLimits => rate_limits::prune(conn, ROUND).await?,
            Self::OneShots => generations::prune_one_shots(conn, ROUND).await?,
            // A whole slot at a time, in one go.
            Self::ConversationEvents => conversations::prune_events(conn).await.map(|()| 0)?,
        })
    }
}
