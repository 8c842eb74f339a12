//! The one source of "now" in Rust. SQL has its own, `loquent_now()`; tests move both by the same offset.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};

/// Wall clock of the process; clones share an offset, which is zero outside tests.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// Current instant in UTC.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that all others must ask")]
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::milliseconds(self.offset_ms.load(Ordering::Relaxed))
    }

    /// The same in seconds since 1970, as metrics want it.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds are exact for 280,000 years")]
    pub fn seconds(&self) -> f64 {
        self.now().timestamp_millis() as f64 / 1000.0
    }

    /// Moves this clock and its clones; for tests.
    pub fn advance(&self, by: TimeDelta) {
        self.offset_ms.fetch_add(by.num_milliseconds(), Ordering::Relaxed);
    }
}
