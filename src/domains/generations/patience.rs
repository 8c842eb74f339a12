//! How long those who read wait for a database that is away.

use std::time::Duration;

use tokio::time::Instant;

use super::bounds;

/// The patience of one reader; a new one after each success.
pub struct Patience {
    pause: Duration,
    deadline: Option<Instant>,
}

impl Patience {
    /// `pause` is before the second attempt, and doubles.
    pub fn new(pause: Duration) -> Self {
        Self { pause, deadline: None }
    }

    /// After a failure: waits before the next attempt, or returns false at once when it has lasted too long.
    pub async fn wait(&mut self) -> bool {
        if Instant::now() >= *self.deadline.get_or_insert_with(|| Instant::now() + bounds::OUTAGE_LIMIT) {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(bounds::LONGEST_PAUSE);
        true
    }
}
