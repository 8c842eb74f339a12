//! The batches of one request, in progress in the task of the request itself. A batch is sent after every field that
//! could join it has been polled, and what it brings reaches all of them before any is polled again. In tasks of their
//! own, the first field to be told would ask for what follows while its siblings still wait, and one level of an answer
//! would cost many statements. A request that is dropped takes its batches along.

use std::{
    collections::HashSet,
    future::{Future, poll_fn},
    hash::Hash,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use async_graphql::dataloader::Loader;
use futures_util::{FutureExt, Stream, StreamExt, future::BoxFuture, stream, stream::FuturesUnordered};
use tokio::sync::oneshot;

use crate::error::AppError;

/// Keys of one statement; what is more goes into the next.
const MAX_KEYS: usize = 1000;

/// Where the loaders of one request put their batches; clones share it. There are at most as many as fields that wait.
#[derive(Clone, Default)]
pub struct Batches {
    begun: Arc<Mutex<Vec<BoxFuture<'static, ()>>>>,
}

impl Batches {
    /// Takes a batch over; it moves as long as the request is driven.
    pub fn begin(&self, batch: impl Future<Output = ()> + Send + 'static) {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).push(batch.boxed());
    }

    /// The work of a request together with the batches that it waits for.
    pub async fn drive<T>(self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut running = FuturesUnordered::new();
        poll_fn(|context| {
            let step = work.as_mut().poll(context);
            if step.is_pending() {
                self.advance(&mut running, context);
            }
            step
        })
        .await
    }

    /// The events of a subscription together with the batches that they wait for.
    pub fn drive_events<T>(self, events: impl Stream<Item = T> + Send) -> impl Stream<Item = T> + Send {
        let mut events = Box::pin(events);
        let mut running = FuturesUnordered::new();
        stream::poll_fn(move |context| {
            let step = events.poll_next_unpin(context);
            if step.is_pending() {
                self.advance(&mut running, context);
            }
            step
        })
    }

    /// Moves every batch as far as it goes. One that ends wakes this very task, because its fields wait here.
    fn advance(&self, running: &mut FuturesUnordered<BoxFuture<'static, ()>>, context: &mut Context<'_>) {
        running.extend(std::mem::take(&mut *self.begun.lock().unwrap_or_else(PoisonError::into_inner)));
        while let Poll::Ready(Some(())) = running.poll_next_unpin(context) {}
    }
}

/// A loader whose keys are gathered: everything that is asked for before its batch begins is one call. The library's own
/// `DataLoader` does the same behind a timer, and that of zero too wakes another thread and is woken by it.
pub struct Batched<K, L: Loader<K>>
where
    K: Send + Sync + Hash + Eq + Clone + 'static,
{
    gathering: Arc<Gathering<K, L>>,
    batches: Batches,
}

struct Gathering<K, L: Loader<K>>
where
    K: Send + Sync + Hash + Eq + Clone + 'static,
{
    loader: L,
    /// Who waits for the next batch, and for what.
    waiting: Mutex<Vec<Waiting<K, L::Value>>>,
}

type Waiting<K, V> = (K, oneshot::Sender<Found<V>>);
type Found<V> = Result<Option<V>, AppError>;

impl<K, L> Batched<K, L>
where
    K: Send + Sync + Hash + Eq + Clone + 'static,
    L: Loader<K, Error = AppError>,
{
    /// Gathers for `loader`; the batches run with the request that drives `batches`.
    pub fn new(batches: &Batches, loader: L) -> Self {
        let gathering = Arc::new(Gathering { loader, waiting: Mutex::default() });
        Self { gathering, batches: batches.clone() }
    }

    /// What the loader has for a key; `None` when it has nothing.
    ///
    /// # Errors
    /// Those of the loader: one that fails fails for the whole batch.
    pub async fn load_one(&self, key: K) -> Found<L::Value> {
        let (sender, found) = oneshot::channel();
        let is_first = {
            let mut waiting = self.gathering.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push((key, sender));
            waiting.len() == 1
        };
        if is_first {
            let gathering = Arc::clone(&self.gathering);
            self.batches.begin(async move { gathering.load().await });
        }
        found
            .await
            .unwrap_or_else(|_| Err(AppError::internal(anyhow::anyhow!("a batch ended without a word"))))
    }
}

impl<K, L> Gathering<K, L>
where
    K: Send + Sync + Hash + Eq + Clone + 'static,
    L: Loader<K, Error = AppError>,
{
    async fn load(&self) {
        let mut waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        while !waiting.is_empty() {
            let rest = waiting.split_off(waiting.len().min(MAX_KEYS));
            let keys: HashSet<&K> = waiting.iter().map(|(key, _)| key).collect();
            let keys: Vec<K> = keys.into_iter().cloned().collect();
            let found = self.loader.load(&keys).await;
            for (key, sender) in std::mem::replace(&mut waiting, rest) {
                let value = found.as_ref().map(|values| values.get(&key).cloned()).map_err(Clone::clone);
                // A field that has gone needs no answer.
                let _ = sender.send(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use futures_util::future::join_all;

    use super::*;

    /// Doubles, and notes how much it was asked for at once.
    struct Double(Arc<Mutex<Vec<usize>>>);

    impl Loader<u32> for Double {
        type Value = u32;
        type Error = AppError;

        async fn load(&self, keys: &[u32]) -> Result<HashMap<u32, u32>, AppError> {
            self.0.lock().unwrap().push(keys.len());
            tokio::task::yield_now().await;
            Ok(keys.iter().map(|key| (*key, key * 2)).collect())
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_level_of_an_answer_is_one_batch() {
        for _ in 0..50 {
            let sizes = Arc::new(Mutex::new(Vec::new()));
            let batches = Batches::default();
            let loader = Batched::new(&batches, Double(sizes.clone()));
            let item = async |key: u32| {
                let mut value = key;
                for _ in 0..3 {
                    value = loader.load_one(value).await.unwrap().unwrap();
                }
                value
            };
            let values = batches.drive(join_all((1..=25).map(item))).await;
            assert_eq!(values, (1..=25).map(|key| key * 8).collect::<Vec<_>>());
            assert_eq!(*sizes.lock().unwrap(), [25, 25, 25]);
        }
    }

    #[tokio::test]
    async fn a_key_is_asked_for_once_and_too_many_are_split() {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let batches = Batches::default();
        let loader = Batched::new(&batches, Double(sizes.clone()));
        let values = batches.clone().drive(join_all([7, 7, 7].map(|key| loader.load_one(key)))).await;
        assert!(values.into_iter().all(|value| value.unwrap() == Some(14)));
        let many = join_all((0..2_500).map(|key| loader.load_one(key)));
        assert_eq!(batches.drive(many).await.len(), 2_500);
        assert_eq!(*sizes.lock().unwrap(), [1, 1000, 1000, 500]);
    }

    struct Fails;

    impl Loader<u32> for Fails {
        type Value = u32;
        type Error = AppError;

        async fn load(&self, _: &[u32]) -> Result<HashMap<u32, u32>, AppError> {
            Err(AppError::internal(anyhow::anyhow!("on purpose")))
        }
    }

    #[tokio::test]
    async fn a_failed_batch_fails_for_everybody_in_it() {
        let batches = Batches::default();
        let loader = Batched::new(&batches, Fails);
        let values = batches.drive(join_all([1, 2].map(|key| loader.load_one(key)))).await;
        assert!(values.into_iter().all(|value| value.is_err()));
    }
}
