//! The runs of this process: who listens to them and how to stop them. It holds no text; what it passes on was
//! committed before.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::model::{Delta, Finished};

/// Events a watcher may lag behind before it falls back to a snapshot.
const WATCHER_BUFFER: usize = 256;
/// Runs of one process at the same time; more are refused.
const MAX_RUNS: usize = 4096;

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
    /// Announces a run; `None` when the process has as many as it can take. The token is cancelled when the run shall stop.
    pub fn open(&self, message_id: Uuid, generation_id: Uuid) -> Option<CancellationToken> {
        let mut topics = self.lock();
        if topics.len() >= MAX_RUNS {
            return None;
        }
        let stop = CancellationToken::new();
        let signals = broadcast::Sender::new(WATCHER_BUFFER);
        topics.insert(message_id, Topic { generation_id, signals, stop: stop.clone() });
        Some(stop)
    }

    /// Takes a run off the list without a word; watchers look elsewhere how it goes on.
    pub fn close(&self, message_id: Uuid) {
        self.lock().remove(&message_id);
    }

    /// Tells watchers the end and takes the run off the list.
    pub fn finish(&self, message_id: Uuid, finished: Finished) {
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
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
