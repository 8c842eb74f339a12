//! The batches of one request, in progress in the task of the request itself. A batch is sent after every field that
//! could join it has been polled, and what it brings reaches all of them before any is polled again. In tasks of their
//! own, the first field to be told would ask for what follows while its siblings still wait, and one level of an answer
//! would cost many statements. A request that is dropped takes its batches along.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use futures_util::{FutureExt, Stream, StreamExt, future::BoxFuture, stream, stream::FuturesUnordered};

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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use async_graphql::dataloader::{DataLoader, Loader};
    use futures_util::future::join_all;

    use super::*;

    /// Doubles, and notes how much it was asked for at once.
    struct Double(Arc<Mutex<Vec<usize>>>);

    impl Loader<u32> for Double {
        type Value = u32;
        type Error = ();

        async fn load(&self, keys: &[u32]) -> Result<HashMap<u32, u32>, ()> {
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
            let begin = batches.clone();
            let loader = DataLoader::new(Double(sizes.clone()), move |batch| begin.begin(batch))
                .delay(std::time::Duration::ZERO);
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
}
