//! The runs of this process: who listens to them and how to stop them. It holds no text; what it passes on was
//! committed before.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    bounds,
    model::{Delta, Finished},
};
use crate::platform::metrics::{Held, names};

/// What a watcher hears.
#[derive(Debug, Clone)]
pub enum Signal {
    Delta(Arc<Delta>),
    Finished(Arc<Finished>),
}

struct Topic {
    generation_id: Uuid,
    signals: broadcast::Sender<Signal>,
    stop: CancellationToken,
}

/// Registry of live runs by message; clones share it.
#[derive(Clone, Default)]
pub struct Hub {
    topics: Arc<Mutex<HashMap<Uuid, Topic>>>,
}

impl Hub {
    /// Announces a run; `None` when the process has as many as it can take.
    pub fn open(&self, message_id: Uuid, generation_id: Uuid) -> Option<Place> {
        let mut topics = self.lock();
        if topics.len() >= bounds::MAX_RUNS {
            return None;
        }
        let stop = CancellationToken::new();
        let signals = broadcast::Sender::new(bounds::WATCHER_BUFFER);
        topics.insert(message_id, Topic { generation_id, signals, stop: stop.clone() });
        Some(Place { hub: self.clone(), message_id, _running: names::RUNS.hold([]), stop })
    }

    /// True when this run is, or is about to be, in progress here.
    pub fn has(&self, generation_id: Uuid) -> bool {
        self.lock().values().any(|topic| topic.generation_id == generation_id)
    }

    fn finish(&self, message_id: Uuid, finished: Finished) {
        if let Some(topic) = self.lock().remove(&message_id) {
            // No receiver means that nobody watches, which is fine.
            let _ = topic.signals.send(Signal::Finished(Arc::new(finished)));
        }
    }

    /// Passes on a committed event.
    pub fn publish(&self, message_id: Uuid, delta: Delta) {
        if let Some(topic) = self.lock().get(&message_id) {
            let _ = topic.signals.send(Signal::Delta(Arc::new(delta)));
        }
    }

    /// Listens to a run of this process.
    pub fn subscribe(&self, message_id: Uuid) -> Option<broadcast::Receiver<Signal>> {
        self.lock().get(&message_id).map(|topic| topic.signals.subscribe())
    }

    /// Stops these runs, if they are here.
    pub fn stop(&self, generation_ids: &[Uuid]) {
        for topic in self.lock().values() {
            if generation_ids.contains(&topic.generation_id) {
                topic.stop.cancel();
            }
        }
    }

    /// Runs in progress.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run on the list. Dropping it takes the run off without a word; watchers then look elsewhere how it goes on.
pub struct Place {
    hub: Hub,
    message_id: Uuid,
    _running: Held,
    /// Cancelled when the run shall stop.
    pub stop: CancellationToken,
}

impl Place {
    /// Tells watchers the end and takes the run off the list.
    pub fn finish(self, finished: Finished) {
        self.hub.finish(self.message_id, finished);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.lock().remove(&self.message_id);
    }
}
