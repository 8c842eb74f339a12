//! Work that survives the process that started it: a queue in PostgreSQL and the runner of every process.
//!
//! It owns the table `jobs`. What always holds:
//!
//! - A job is enqueued in the transaction of what it follows from: both are there, or neither.
//! - An attempt is counted before it runs, so a job that takes its process down ends as a dead letter.
//! - A claim raises the *fence*. Whatever a run writes goes through [`Run::transaction`] or [`Run::complete`], which
//!   write nothing for an older fence or for a process that lost its lease.
//! - A job runs at least once. What [`Run::complete`] writes commits together with the end of the job, so exactly once;
//!   what happens outside is repeated under one key, [`Run::effect_key`].
//! - The payload is no authority: it says where to look, and the handler reads the rows again.
//! - No connection is held while a handler waits for something else.
//!
//! ```
//! use std::time::Duration;
//! use futures_util::FutureExt;
//! use loquent::{error::Result, jobs::{Failure, Job, Options, Run, enqueue}};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct CountWords {
//!     message_id: uuid::Uuid,
//! }
//!
//! impl Job for CountWords {
//!     const NAME: &'static str = "messages.count_words";
//!     const LIMIT: Duration = Duration::from_secs(10);
//!     type Context = ();
//!
//!     async fn run(self, _: (), run: Run) -> Result<(), Failure> {
//!         // The effect and the end of the job are one commit.
//!         run.complete(move |conn| async move { store_count(conn, self.message_id).await }.boxed()).await
//!     }
//! }
//! # async fn store_count(_: &mut diesel_async::AsyncPgConnection, _: uuid::Uuid) -> Result<()> { Ok(()) }
//!
//! /// Part of a transaction of the caller, who nudges the runner after it.
//! async fn on_message(conn: &mut diesel_async::AsyncPgConnection, message_id: uuid::Uuid) -> Result<()> {
//!     enqueue(conn, &CountWords { message_id }, Options::default()).await?;
//!     Ok(())
//! }
//! ```

#[cfg(doctest)]
#[doc = include_str!("../../docs/adding-a-job.md")]
struct AddingAJob;

pub mod cron;
mod failure;
mod finisher;
mod hints;
mod job;
mod queue;
mod registry;
pub mod repo;
mod run;
mod runner;
mod slots;
mod upkeep;
mod writes;

pub use failure::Failure;
pub use hints::JobHints;
pub use job::{Job, Options, enqueue};
pub use queue::{CLAIM, prune};
pub use registry::Registry;
pub use run::Run;
pub use runner::{Runner, RunnerSettings};
