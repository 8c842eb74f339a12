//! What was taken of a bucket before it was known how much is used.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tokio::time::Instant;

use super::{
    Known,
    limit::{Limit, Outcome},
};

/// An answer whose points may turn out to be too many. Dropped, all of them count as used.
#[derive(Debug)]
pub struct Reserved {
    pub outcome: Outcome,
    /// What was taken and is not settled.
    pub(super) points: AtomicU32,
    /// Block of the process that they were taken from.
    pub(super) block: u64,
    pub(super) limit: Limit,
    pub(super) known: Arc<Known>,
}

impl Reserved {
    /// Gives back all that was taken but `used`, and returns how much that is: nothing when nothing was taken, or from a
    /// window, which forgets nothing, or for the second time. Asks nobody and waits for nobody.
    pub fn settle(&self, used: u32) -> u32 {
        let taken = self.points.swap(0, Ordering::Relaxed);
        let back = taken.saturating_sub(used);
        if back == 0 || !self.limit.is_bucket() || !self.outcome.is_admitted() {
            return 0;
        }
        match self.known.memory.try_lock() {
            Ok(mut memory) => memory.put_back(&self.limit, Some(self.block), back, Instant::now()),
            // Somebody else is being answered, mostly by the database and with another block.
            Err(_) => {
                let add = |before: u32| Some(before.saturating_add(back));
                let _ = self.known.back.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
            }
        }
        back
    }
}
