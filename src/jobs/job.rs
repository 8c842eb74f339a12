//! What a kind of job is, and putting one into the queue.

use std::{future::Future, time::Duration};

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{
    failure::Failure,
    queue::{self, NewJob},
    run::Run,
};
use crate::{
    error::{AppError, Result},
    platform::request,
};

/// A kind of job. The value itself is the payload: ids, by which the handler reads the rows again. It is stored as
/// JSON, so a new field needs a default as long as older jobs wait.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// `<area>.<what it does>`; stored with every job and a label of metrics, so it never changes.
    const NAME: &'static str;
    /// Jobs of one queue share slots. Work that waits long for others has a queue of its own.
    const QUEUE: &'static str = "default";
    /// Attempts until it is dead, crashes included; from 1 to 100.
    const MAX_ATTEMPTS: i16 = 8;
    /// Within a queue; smaller first.
    const PRIORITY: i16 = 100;
    /// Longest time of one attempt; it is cut then, which counts as a failure.
    const LIMIT: Duration;
    /// What the handler works with: handles, cheap to clone.
    type Context: Clone + Send + Sync + 'static;

    /// One attempt. It may be cut at any `await`; what it has written through `run` until then stays.
    fn run(self, context: Self::Context, run: Run) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// What may differ from job to job.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// While a job of this key waits or runs, no second one is enqueued; at most 200 characters.
    pub unique_key: Option<String>,
    /// Not before this instant of the database's clock.
    pub run_at: Option<DateTime<Utc>>,
    /// Instead of [`Job::PRIORITY`].
    pub priority: Option<i16>,
    /// Account in whose turn it runs; the house has no turn to wait for.
    pub account_id: Option<Uuid>,
}

/// Enqueues a job in the transaction of the caller, who calls [`JobHints::nudge`](super::JobHints::nudge) after it.
/// `None` when a live job has the unique key; a twin that is being enqueued is waited for. A job that runs already has
/// perhaps read what has changed since: whoever must be seen takes a key of what has changed.
pub async fn enqueue<J: Job>(
    conn: &mut AsyncPgConnection,
    job: &J,
    options: Options,
) -> Result<Option<Uuid>> {
    let new = NewJob {
        queue: J::QUEUE,
        name: J::NAME,
        account_id: options.account_id,
        payload: serde_json::to_value(job).map_err(AppError::internal)?,
        unique_key: options.unique_key,
        priority: options.priority.unwrap_or(J::PRIORITY),
        run_at: options.run_at,
        max_attempts: J::MAX_ATTEMPTS,
        request_id: request::current(),
    };
    Ok(queue::insert(conn, new).await?)
}
