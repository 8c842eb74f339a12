//! Owned background work. State changes run in a tracked task that the request only waits for, so a client that
//! hangs up cannot cut one in half; shutdown waits for all of them.

use std::{future::Future, time::Duration};

use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::request;
use crate::error::{AppError, Result};

/// Ticks at once and then at this pace; a tick that was missed is not made up for.
pub fn every(pace: Duration) -> Interval {
    let mut ticks = interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Spawner and shutdown signals of the process; clones share both.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    draining: CancellationToken,
    stopping: CancellationToken,
}

impl Tasks {
    /// Starts a task that shutdown waits for.
    #[expect(clippy::disallowed_methods, reason = "the tracked spawn that all others must use")]
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.tracker.track_future(work));
    }

    /// The same for work that has no end of its own; it is dropped where it stands when `stop` is cancelled.
    pub fn spawn_until(&self, stop: CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
        self.spawn(async move {
            stop.run_until_cancelled_owned(work).await;
        });
    }

    /// Runs `work` to its end whether or not the caller stays; a panic in it becomes an internal error.
    #[expect(clippy::disallowed_methods, reason = "the tracked spawn that all others must use")]
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        // The span goes along, so that what the task logs is found under the id of its request.
        let work = tracing::Instrument::instrument(work, tracing::Span::current());
        let work = request::on_behalf(request::current(), work);
        match tokio::spawn(self.tracker.track_future(work)).await {
            Ok(result) => result,
            Err(error) => Err(AppError::internal(error)),
        }
    }

    /// Tasks that have not ended.
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Cancelled when shutdown begins: no new work, but what runs may finish.
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Cancelled when the time to finish is over: end now, in a defined state.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Refuses new work during shutdown.
    pub fn require_running(&self) -> Result<()> {
        if self.draining.is_cancelled() {
            return Err(AppError::unavailable(anyhow::anyhow!("shutting down")));
        }
        Ok(())
    }

    /// Waits until every task has ended, at most `limit`. True when they all have.
    pub async fn wait(&self, limit: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(limit, self.tracker.wait()).await.is_ok()
    }
}
