//! What every process does for the queue besides running: makes scheduled jobs ready, takes over the jobs of processes
//! that are gone, gives back what nobody knows that it has, and counts. Whoever is first does it.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use diesel_async::AsyncPgConnection;
use tokio_util::sync::CancellationToken;

use super::{JobHints, queue, repo::JobRow, slots::Running};
use crate::{
    error::Result,
    platform::{ids::Id, metrics::names, postgres::Db, replica::Replica, tasks::every},
};

/// How late a scheduled job may become ready.
const PACE: Duration = Duration::from_secs(1);
/// How often jobs of processes that are gone are looked for.
const TAKEOVER: Duration = Duration::from_secs(2);
/// How often the queues are counted, and up to how many jobs.
const COUNT: Duration = Duration::from_secs(15);
const MAX_COUNT: i64 = 100_000;
/// Jobs in one statement.
const ROUND: i64 = 500;
/// Full rounds of promotion in a row; the other duties wait meanwhile.
const MAX_ROUNDS: usize = 20;

/// The upkeep of a process.
pub(super) struct Upkeep {
    pub db: Db,
    pub replica: Replica,
    pub hints: JobHints,
    pub running: Running,
    pub lease: Duration,
    /// Queues that have a metric.
    pub seen: BTreeSet<String>,
    /// Names that have dead letters.
    pub dead: HashSet<String>,
}

impl Upkeep {
    /// Goes on until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let takeover = TAKEOVER.min(self.lease / 2);
        let mut promotions = every(PACE);
        let mut takeovers = every(takeover);
        let mut counts = every(COUNT);
        loop {
            let round = tokio::select! {
                _ = promotions.tick() => self.promote().await,
                _ = takeovers.tick() => self.take_over().await,
                _ = counts.tick() => self.count().await,
                () = stop.cancelled() => return,
            };
            if let Err(error) = round {
                tracing::warn!(
                    error = error.chain(),
                    "the upkeep of jobs failed; the next round tries again"
                );
            }
        }
    }

    async fn promote(&self) -> Result<()> {
        for _ in 0..MAX_ROUNDS {
            let promoted =
                self.db.within(queue::LIMIT, async |conn| Ok(queue::promote(conn, ROUND).await?)).await?;
            if promoted > 0 {
                self.hints.nudge();
            }
            if i64::try_from(promoted).is_ok_and(|promoted| promoted < ROUND) {
                break;
            }
        }
        Ok(())
    }

    async fn take_over(&self) -> Result<()> {
        let taken = self.db.within(queue::LIMIT, async |conn| Ok(queue::take_over(conn, ROUND).await?));
        for ended in taken.await? {
            names::JOB_ATTEMPTS.add([ended.name.clone().into(), "crashed".into()], 1);
            tracing::warn!(job.id = %Id::<JobRow>::new(ended.id), job.name = ended.name, "a job was taken from a process that is gone");
            if ended.is_dead {
                ended.log();
            }
        }
        let of_drained =
            async |conn: &mut AsyncPgConnection| Ok(queue::give_back_of_drained(conn, ROUND).await?);
        if self.db.within(queue::LIMIT, of_drained).await? > 0 {
            self.hints.nudge();
        }
        let me = self.replica.current().replica_id;
        let known = self.running.ids();
        let given_back =
            async |conn: &mut AsyncPgConnection| Ok(queue::give_back_unknown(conn, me, &known).await?);
        self.db.within(queue::LIMIT, given_back).await.map(drop)
    }

    /// Every process says the same of the database; a queue that is empty now says so.
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    async fn count(&mut self) -> Result<()> {
        let counted = self.db.within(queue::LIMIT, async |conn| {
            Ok((queue::count(conn, MAX_COUNT).await?, queue::count_dead(conn, MAX_COUNT).await?))
        });
        let (counts, dead) = counted.await?;
        self.seen.extend(counts.iter().map(|count| count.queue.clone()));
        for name in &self.seen {
            let of = |state| counts.iter().find(|count| count.queue == *name && count.state == state);
            for state in ["scheduled", "ready", "running"] {
                let jobs = of(state).map_or(0.0, |count| count.jobs as f64);
                names::JOBS.set([name.clone().into(), state.into()], jobs);
            }
            // What is due and not yet made ready waits too.
            let waiting = ["scheduled", "ready"].into_iter().filter_map(of);
            let oldest = waiting.map(|count| count.oldest_seconds).fold(0.0, f64::max);
            names::JOBS_OLDEST.set([name.clone().into()], oldest);
        }
        for name in self.dead.drain() {
            names::JOBS_DEAD.set([name.into()], 0.0);
        }
        for (name, jobs) in dead {
            names::JOBS_DEAD.set([name.clone().into()], jobs as f64);
            self.dead.insert(name);
        }
        Ok(())
    }
}
