//! How fast a socket is read. A client that says more than its share is not closed: its messages wait in the network,
//! so an honest one loses nothing and a flood costs no more than its share.

use std::time::Duration;

use tokio::time::Instant;

/// How far a client may be ahead of its share: an application that opens its screens at once is no flood.
const AHEAD: Duration = Duration::from_secs(3);

/// Messages at an even pace, with some seconds in advance.
pub struct Pace {
    /// Share of one message.
    gap: Duration,
    /// When all that was said would have been said at an even pace.
    even: Instant,
}

impl Pace {
    pub fn new(messages_per_second: u32, now: Instant) -> Self {
        Self { gap: Duration::from_secs(1) / messages_per_second.max(1), even: now }
    }

    /// Notes that a message was read.
    pub fn count(&mut self, now: Instant) {
        self.even = self.even.max(now) + self.gap;
    }

    /// Until the next message may be read; zero for a client within its share.
    pub fn wait(&self, now: Instant) -> Duration {
        (self.even + self.gap).saturating_duration_since(now).saturating_sub(AHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst(pace: &mut Pace, now: Instant) -> u32 {
        let mut count = 0;
        while pace.wait(now).is_zero() {
            pace.count(now);
            count += 1;
        }
        count
    }

    #[test]
    fn a_client_may_be_ahead_for_a_while_and_then_keeps_its_share() {
        let gap = Duration::from_millis(50);
        let mut now = Instant::now();
        let mut pace = Pace::new(20, now);
        assert_eq!(burst(&mut pace, now), 60);
        for _ in 0..100 {
            assert_eq!(pace.wait(now), gap);
            now += gap;
            assert_eq!(burst(&mut pace, now), 1);
        }
        now += Duration::from_secs(3600);
        assert_eq!(burst(&mut pace, now), 60, "what is not used is not saved up");
    }
}
