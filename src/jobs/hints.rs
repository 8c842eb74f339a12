//! A nudge for the runners of this process: there may be work. It carries nothing and may be lost, because every
//! runner also looks once a second.

use tokio::sync::watch;

/// Wakes the runners; clones wake the same ones.
#[derive(Debug, Clone, Default)]
pub struct JobHints(watch::Sender<()>);

impl JobHints {
    /// Says that there may be work, after the transaction that enqueued it.
    pub fn nudge(&self) {
        self.0.send_replace(());
    }

    /// Sees every nudge after this call.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}
