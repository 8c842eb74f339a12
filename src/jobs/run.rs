//! One attempt, as its handler sees it: the only way to write.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use diesel_async::AsyncPgConnection;
use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    failure::Failure,
    queue::{self, Ticket},
    writes::Writes,
};
use crate::error::Result;

/// Handle of an attempt; clones are the same.
#[derive(Clone)]
pub struct Run {
    pub(super) ticket: Ticket,
    pub(super) attempt: i16,
    pub(super) max_attempts: i16,
    pub(super) deadline: Instant,
    pub(super) writes: Writes,
    pub(super) is_completed: Arc<AtomicBool>,
}

impl Run {
    /// Id of the job, the same in every attempt.
    pub fn job_id(&self) -> Uuid {
        self.ticket.job_id
    }

    /// From 1 on. What an attempt before this one has done may be there already.
    pub fn attempt(&self) -> i16 {
        self.attempt
    }

    /// A failure of this attempt is the end.
    pub fn is_last_attempt(&self) -> bool {
        self.attempt >= self.max_attempts
    }

    /// When the attempt is cut.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Key for an effect outside, such as an idempotency key: the same in every attempt, another for each step.
    pub fn effect_key(&self, step: &str) -> String {
        format!("job-{}-{step}", self.ticket.job_id.simple())
    }

    /// Writes in a transaction that holds the job, so nothing is written once it is somebody else's. Nothing foreign is
    /// awaited in it.
    ///
    /// # Errors
    /// Those of `work`, of the database, and a failure that [`is_lost`](Failure::is_lost).
    pub async fn transaction<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut AsyncPgConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
    ) -> Result<T, Failure> {
        let ticket = self.ticket;
        self.writes
            .transaction(move |conn| {
                async move {
                    if !queue::guard(conn, ticket).await? {
                        return Err(Failure::lost());
                    }
                    Ok(work(conn).await?)
                }
                .boxed()
            })
            .await
    }

    /// Writes the effect of the job and its end in one commit: exactly once, whatever happens. The handler returns
    /// after it.
    ///
    /// # Errors
    /// As [`Self::transaction`]. The commit may have succeeded all the same; then there is no further attempt.
    pub async fn complete<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut AsyncPgConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
    ) -> Result<T, Failure> {
        let ticket = self.ticket;
        let value = self
            .writes
            .transaction(move |conn| {
                async move {
                    if !queue::complete(conn, ticket).await? {
                        return Err(Failure::lost());
                    }
                    Ok(work(conn).await?)
                }
                .boxed()
            })
            .await?;
        self.is_completed.store(true, Ordering::Release);
        Ok(value)
    }
}
