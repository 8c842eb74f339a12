//! A nudge for the runners: there may be work. It carries nothing and may be lost, because every runner also looks once a
//! second. Runners of this process hear it at once, those of others by the hints between processes.

use crate::platform::postgres::listen::{Channel, Hints, Looks};

/// Wakes the runners; clones wake the same ones.
#[derive(Clone)]
pub struct JobHints(Hints);

impl JobHints {
    /// Nudges by these hints.
    pub fn new(hints: Hints) -> Self {
        Self(hints)
    }

    /// Says that there may be work, after the transaction that enqueued it.
    pub fn nudge(&self) {
        self.0.send(Channel::Jobs);
    }

    /// Sees every nudge after this call.
    pub(super) fn subscribe(&self) -> Looks {
        self.0.subscribe(Channel::Jobs)
    }
}
