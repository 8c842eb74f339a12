//! The kinds of jobs that a process can run, each with its handler.

use std::{collections::BTreeMap, time::Duration};

use anyhow::ensure;
use futures_util::{FutureExt, future::BoxFuture};
use serde_json::Value;

use super::{failure::Failure, job::Job, run::Run};
use crate::error::AppError;

type Handler = Box<dyn Fn(Value, Run) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>;

/// One kind.
pub(super) struct Kind {
    pub queue: &'static str,
    pub limit: Duration,
    pub handler: Handler,
}

/// All kinds, by name. What another version of the program has enqueued and this one does not know stays in the queue.
#[derive(Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Kind>,
}

impl Registry {
    /// Adds a kind, whose handler works with `context`.
    ///
    /// # Errors
    /// When its name is taken, or its constants are none that the queue takes.
    pub fn register<J: Job>(&mut self, context: J::Context) -> anyhow::Result<()> {
        ensure!((1..=100).contains(&J::MAX_ATTEMPTS), "{} has no sound number of attempts", J::NAME);
        ensure!(!J::LIMIT.is_zero(), "{} has no time to run", J::NAME);
        let handler: Handler = Box::new(move |payload, run| {
            let context = context.clone();
            async move {
                // A newer version may have written what only it can read: it gets the next attempts.
                let job: J = serde_json::from_value(payload).map_err(AppError::internal)?;
                job.run(context, run).await
            }
            .boxed()
        });
        let kind = Kind { queue: J::QUEUE, limit: J::LIMIT, handler };
        ensure!(self.kinds.insert(J::NAME, kind).is_none(), "two kinds of jobs have the name {}", J::NAME);
        Ok(())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Kind> {
        self.kinds.get(name)
    }

    /// The queues, each with the kinds of it and the longest time of an attempt.
    pub(super) fn queues(&self) -> BTreeMap<&'static str, Vec<(&'static str, Duration)>> {
        let mut queues: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, kind) in &self.kinds {
            queues.entry(kind.queue).or_default().push((*name, kind.limit));
        }
        queues
    }
}
