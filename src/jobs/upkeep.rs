//! What every process does for the queue besides running: makes scheduled jobs ready, takes over the jobs of processes
//! that are gone, gives back what it has claimed without knowing, and measures. Whoever is first does it.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{JobHints, queue, slots::Running};
use crate::{
    error::Result,
    platform::{metrics::names, postgres::Db, replica::Replica},
};

/// How late a scheduled job may become ready.
const PACE: Duration = Duration::from_secs(1);
/// How often jobs of processes that are gone are looked for.
const TAKEOVER: Duration = Duration::from_secs(2);
/// Jobs in one statement.
const ROUND: i64 = 500;

/// The upkeep of a process.
pub(super) struct Upkeep {
    pub db: Db,
    pub replica: Replica,
    pub hints: JobHints,
    pub running: Running,
    pub lease: Duration,
}

impl Upkeep {
    /// Goes on until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let takeover = TAKEOVER.min(self.lease / 2);
        let mut ticks = tokio::time::interval(PACE.min(takeover));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_takeover = Instant::now();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            let is_takeover_due = last_takeover.elapsed() >= takeover;
            if is_takeover_due {
                last_takeover = Instant::now();
            }
            if let Err(error) = self.round(is_takeover_due).await {
                tracing::warn!(
                    error = error.chain(),
                    "the upkeep of jobs failed; the next round tries again"
                );
            }
        }
    }

    async fn round(&self, is_takeover_due: bool) -> Result<()> {
        let mut conn = self.db.conn().await?;
        if is_takeover_due {
            for ended in queue::take_over(&mut conn, ROUND).await? {
                names::JOB_ATTEMPTS.add([ended.name.clone().into(), "crashed".into()], 1);
                tracing::warn!(job.id = %ended.id, job.name = ended.name, "a job was taken from a process that is gone");
                if ended.is_dead {
                    ended.log();
                }
            }
            let me = self.replica.current().replica_id;
            queue::give_back_unknown(&mut conn, me, &self.running.ids()).await?;
        }
        if queue::promote(&mut conn, ROUND).await? > 0 {
            self.hints.nudge();
        }
        Ok(())
    }
}
