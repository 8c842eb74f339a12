//! The runner of a process: one loop a queue that claims what there are free slots for, and a task for every run.
//!
//! A claim follows a nudge, a slot that becomes free while more may wait, and, as the net, every second. A process that
//! lost its lease drops its runs where they are, writes nothing for them, and claims again under its new identity. One
//! that drains claims nothing more; what still runs when its time is over is given back, and the attempt does not count.

use std::{collections::HashSet, sync::Arc, time::Duration};

use rand::RngExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{
    JobHints, Registry,
    finisher::Finisher,
    queue::{self, Claimed, Ticket, Wish},
    slots::{Running, Slot},
    upkeep::Upkeep,
    writes::Writes,
};
use crate::{
    error::Result,
    platform::{
        postgres::Db,
        replica::{Identity, Replica},
        tasks::Tasks,
    },
};

/// How often a runner looks without being told.
const POLL: Duration = Duration::from_secs(1);

/// Bounds of the runner of a process.
#[derive(Debug, Clone, Copy)]
pub struct RunnerSettings {
    /// Runs at a time, of each queue; 0 runs nothing.
    pub concurrency: usize,
    /// Runs of one account in one queue, in all processes, beyond which others go first.
    pub account_share: usize,
    /// Lease of the process; takeovers look at least twice as often.
    pub lease: Duration,
}

/// Handle of the runner; clones are the same.
#[derive(Clone)]
pub struct Runner {
    running: Running,
}

/// What the loops share.
struct Shared {
    db: Db,
    tasks: Tasks,
    replica: Replica,
    registry: Registry,
    hints: JobHints,
    settings: RunnerSettings,
    running: Running,
    finisher: Finisher,
    writes: Writes,
}

impl Runner {
    /// Starts claiming, and the upkeep of the queue, which ends with `stop`; claiming ends when `tasks` drains.
    pub fn start(
        db: Db,
        tasks: &Tasks,
        replica: Replica,
        registry: Registry,
        hints: JobHints,
        settings: RunnerSettings,
        stop: CancellationToken,
    ) -> Self {
        let running = Running::default();
        let upkeep = Upkeep {
            db: db.clone(),
            replica: replica.clone(),
            hints: hints.clone(),
            running: running.clone(),
            lease: settings.lease,
            seen: registry.queues().into_keys().map(str::to_owned).collect(),
            dead: HashSet::new(),
        };
        tasks.spawn(upkeep.run(stop));
        let shared = Shared {
            finisher: Finisher::start(db.clone(), tasks),
            writes: Writes::new(db.clone()),
            db,
            tasks: tasks.clone(),
            replica,
            registry,
            hints,
            settings,
            running: running.clone(),
        };
        let shared = Arc::new(shared);
        for (name, kinds) in shared.registry.queues() {
            if settings.concurrency > 0 {
                tasks.spawn(Queue { name, kinds, shared: Arc::clone(&shared) }.run());
            }
        }
        Self { running }
    }

    /// Runs in progress in this process.
    pub fn running(&self) -> usize {
        self.running.len()
    }
}

/// The loop of one queue.
struct Queue {
    name: &'static str,
    kinds: Vec<(&'static str, Duration)>,
    shared: Arc<Shared>,
}

impl Queue {
    /// Claims until the process drains. A claim itself is not cut for that: what it has got would be in nobody's hands.
    /// The upkeep gives that back where the server was not heard of in time.
    async fn run(self) {
        let draining = self.shared.tasks.draining().clone();
        let slots = Arc::new(Semaphore::new(self.shared.settings.concurrency));
        let mut hints = self.shared.hints.subscribe();
        loop {
            let (identity, first) = tokio::select! {
                biased;
                () = draining.cancelled() => return,
                may_claim = self.may_claim(&slots) => match may_claim {
                    Some(may_claim) => may_claim,
                    None => return,
                },
            };
            hints.mark_seen();
            if self.claim_and_launch(&identity, first, &slots).await {
                continue;
            }
            tokio::select! {
                () = draining.cancelled() => return,
                // A nudge, or in its absence a look.
                _ = tokio::time::timeout(POLL, hints.next()) => {}
            }
        }
    }

    /// Waits for a free slot and for an identity to claim under; `None` when the process ends.
    async fn may_claim(&self, slots: &Arc<Semaphore>) -> Option<(Identity, OwnedSemaphorePermit)> {
        let slot = Arc::clone(slots).acquire_owned().await.ok()?;
        Some((self.shared.replica.alive().await?, slot))
    }

    /// True when there was work, so there may be more.
    async fn claim_and_launch(
        &self,
        identity: &Identity,
        first: OwnedSemaphorePermit,
        slots: &Arc<Semaphore>,
    ) -> bool {
        match self.claim(identity, 1 + slots.available_permits()).await {
            Ok(claimed) => {
                let has_work = !claimed.is_empty();
                self.launch(claimed, identity, first, slots);
                has_work
            }
            Err(error) => {
                tracing::warn!(
                    error = error.chain(),
                    queue = self.name,
                    "jobs cannot be claimed; the next look tries again"
                );
                false
            }
        }
    }

    async fn claim(&self, identity: &Identity, free: usize) -> Result<Vec<Claimed>> {
        let wish = Wish {
            queue: self.name,
            owner_id: identity.replica_id,
            free: i64::try_from(free).unwrap_or(i64::MAX),
            share: i64::try_from(self.shared.settings.account_share).unwrap_or(i64::MAX),
            pivot: rand::rng().random_range(0..queue::LANES),
            kinds: &self.kinds,
        };
        self.shared.db.within(queue::LIMIT, async |conn| Ok(queue::claim(conn, &wish).await?)).await
    }

    /// Starts every job that was claimed, each in a slot of its own.
    fn launch(
        &self,
        claimed: Vec<Claimed>,
        identity: &Identity,
        first: OwnedSemaphorePermit,
        slots: &Arc<Semaphore>,
    ) {
        let mut first = Some(first);
        for job in claimed {
            // Only this loop takes slots, so those that were counted as free still are.
            let Some(permit) = first.take().or_else(|| Arc::clone(slots).try_acquire_owned().ok()) else {
                continue;
            };
            // Claims ask for known kinds only.
            let Some(kind) = self.shared.registry.get(&job.name) else { continue };
            let ticket = Ticket { job_id: job.id, owner_id: identity.replica_id, fence: job.fence };
            let slot = Slot {
                _place: (self.shared.running.enter(ticket), permit),
                ticket,
                identity: identity.clone(),
                writes: self.shared.writes.clone(),
                finisher: self.shared.finisher.clone(),
                tasks: self.shared.tasks.clone(),
            };
            slot.spawn(job, kind);
        }
    }
}
