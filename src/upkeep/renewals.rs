//! Periods that are over, of accounts at which nobody looks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    domains::subscriptions::Subscriptions,
    jobs::{Failure, Job, Run},
};

/// Nothing begins so shortly before the end of the attempt; what is left then is for the next hour, or for whoever looks.
const MARGIN: Duration = Duration::from_secs(20);

/// Brings all subscriptions that are due up to date, and books what has expired.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct RenewSubscriptions;

impl Job for RenewSubscriptions {
    const NAME: &'static str = "upkeep.renew_subscriptions";
    const MAX_ATTEMPTS: i16 = 3;
    const PRIORITY: i16 = 150;
    const LIMIT: Duration = Duration::from_secs(600);
    type Context = Subscriptions;

    async fn run(self, subscriptions: Subscriptions, run: Run) -> Result<(), Failure> {
        let round = subscriptions.renew_due(run.deadline() - MARGIN).await?;
        tracing::debug!(
            done = round.done,
            failed = round.failed,
            all = round.is_complete,
            "subscriptions renewed"
        );
        Ok(())
    }
}
