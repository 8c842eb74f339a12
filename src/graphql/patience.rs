//! How long a caller wants to wait for what a mutation has begun. A mutation that can wait asks for it; all others
//! answer at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The time that one request has for waiting, however many of its fields wait; clones share it.
#[derive(Debug, Clone)]
pub struct Patience {
    /// Longest time to wait.
    pub limit: Duration,
    until: Instant,
    given_up: CancellationToken,
    is_used: Arc<AtomicBool>,
}

impl Patience {
    /// Begins to run now.
    pub fn new(limit: Duration) -> Self {
        let until = Instant::now() + limit;
        Self { limit, until, given_up: CancellationToken::new(), is_used: Arc::default() }
    }

    /// Completes when there is no time left, or nobody waits any more. Who calls this has waited.
    pub async fn is_over(&self) {
        self.is_used.store(true, Ordering::Relaxed);
        tokio::select! {
            () = tokio::time::sleep_until(self.until) => {}
            () = self.given_up.cancelled() => {}
        }
    }

    /// True when something has waited.
    pub fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// Ends the patience when dropped, such as with the request of a caller who hangs up.
    pub fn end_on_drop(&self) -> DropGuard {
        self.given_up.clone().drop_guard()
    }
}
