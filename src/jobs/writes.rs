//! What runs write through: fewer connections than the pool has. However many runs wait for a lock, the lease of the
//! process is renewed.

use std::sync::Arc;

use diesel_async::AsyncPgConnection;
use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{failure::Failure, queue};
use crate::{
    error::{AppError, Result},
    platform::postgres::Db,
};

/// Connections of the pool that runs leave to the house: to the stream log, which renews the lease, to the sweep, to
/// claims and ends, and to what looks by the clock.
const HOUSE: usize = 4;

/// The connections of all runs of a process; clones share them. A run waits for its turn before it holds anything.
#[derive(Clone)]
pub(super) struct Writes {
    db: Db,
    places: Arc<Semaphore>,
}

impl Writes {
    pub fn new(db: Db) -> Self {
        let places = db.usage().max.saturating_sub(HOUSE).max(1);
        Self { db, places: Arc::new(Semaphore::new(places)) }
    }

    /// [`Db::transaction`]
    pub async fn transaction<T: Send>(
        &self,
        work: impl for<'c> FnOnce(&'c mut AsyncPgConnection) -> BoxFuture<'c, Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        let _place = self.place().await?;
        self.db.transaction(work).await
    }

    /// [`Db::within`] the time of a statement of the queue.
    pub async fn end<T>(&self, work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T>) -> Result<T> {
        let _place = self.place().await?;
        self.db.within(queue::LIMIT, work).await
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>> {
        self.places.acquire().await.map_err(AppError::internal)
    }
}
