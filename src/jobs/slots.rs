//! One run from its claim to its end: the handler within its bounds, and what is written of how it ended.

use std::{
    collections::HashSet,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use diesel_async::AsyncPgConnection;
use futures_util::{FutureExt, future::BoxFuture};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tracing::Instrument;
use uuid::Uuid;

use super::{
    failure::{Failure, Next},
    finisher::Finisher,
    queue::{self, Claimed, Ticket},
    registry::Kind,
    repo::JobRow,
    run::Run,
    writes::Writes,
};
use crate::{
    error::Result,
    platform::{ids::Id, metrics::names, replica::Identity, request, tasks::Tasks},
};

/// Longest text of a reason.
const MAX_REASON: usize = 1000;
/// A pause that somebody outside asks for counts up to this.
const MAX_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// A run: the job and its fence. A job may be claimed again while the slot of its last run still learns of its end.
type RunKey = (Uuid, i32);

/// The runs of this process; clones are the same set.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<Mutex<HashSet<RunKey>>>);

impl Running {
    /// Counts a run for as long as what it returns lives.
    pub fn enter(&self, ticket: Ticket) -> Entered {
        let key = (ticket.job_id, ticket.fence);
        self.lock().insert(key);
        Entered { running: self.clone(), key }
    }

    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Ids of their jobs.
    pub fn ids(&self) -> Vec<Uuid> {
        self.lock().iter().map(|(job_id, _)| *job_id).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<RunKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the running.
pub(super) struct Entered {
    running: Running,
    key: RunKey,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.running.lock().remove(&self.key);
    }
}

/// How an attempt ended.
#[derive(Debug)]
enum Outcome {
    /// The handler has written the end itself.
    Completed,
    Returned,
    Failed(Failure),
    Panicked,
    TimedOut,
    /// The process ends before the job does.
    ShutDown,
    /// Others have the job, or will.
    Lost,
}

/// A slot of the runner with a job in it.
pub(super) struct Slot {
    /// Its place among the running, and among those of its queue, for as long as it lives.
    pub _place: (Entered, OwnedSemaphorePermit),
    pub ticket: Ticket,
    pub identity: Identity,
    pub writes: Writes,
    pub finisher: Finisher,
    pub tasks: Tasks,
}

impl Slot {
    /// Runs the job in a task of its own, which also writes how it ended.
    pub fn spawn(self, job: Claimed, kind: &Kind) {
        let span = tracing::info_span!(
            parent: None,
            "jobs.run",
            job.id = %Id::<JobRow>::new(job.id),
            job.name = job.name,
            attempt = job.attempts,
            request.id = job.request_id,
        );
        let run = Run {
            ticket: self.ticket,
            attempt: job.attempts,
            max_attempts: job.max_attempts,
            deadline: Instant::now() + kind.limit,
            writes: self.writes.clone(),
            is_completed: Arc::default(),
        };
        let handler = (kind.handler)(job.payload, run.clone());
        let tasks = self.tasks.clone();
        let work = self.run(job.name, run, handler);
        let request_id = job.request_id.map(Arc::from);
        tasks.spawn(request::on_behalf(request_id, work).instrument(span));
    }

    async fn run(self, name: String, run: Run, handler: BoxFuture<'static, Result<(), Failure>>) {
        let started = Instant::now();
        let outcome = self.attempt(&run, handler).await;
        let label = self.end(outcome).await;
        names::JOB_ATTEMPTS.add([name.clone().into(), label.into()], 1);
        names::JOB_SECONDS.observe([name.into()], started.elapsed());
    }

    /// The handler, within its time and that of the process. When this ends early the handler is dropped where it is.
    async fn attempt(&self, run: &Run, handler: BoxFuture<'static, Result<(), Failure>>) -> Outcome {
        let handler = AssertUnwindSafe(handler).catch_unwind();
        let outcome = tokio::select! {
            biased;
            () = self.identity.fenced.cancelled() => Outcome::Lost,
            () = self.tasks.stopping().cancelled() => Outcome::ShutDown,
            result = handler => match result {
                Ok(Ok(())) => Outcome::Returned,
                Ok(Err(failure)) if failure.is_lost() => Outcome::Lost,
                Ok(Err(failure)) => Outcome::Failed(failure),
                Err(_) => Outcome::Panicked,
            },
            () = tokio::time::sleep_until(run.deadline) => Outcome::TimedOut,
        };
        // Whatever came after it cannot undo it.
        if run.is_completed.load(Ordering::Acquire) { Outcome::Completed } else { outcome }
    }

    /// Writes the end; says in a word how it was, for the metric.
    async fn end(&self, outcome: Outcome) -> &'static str {
        match outcome {
            Outcome::Completed => "done",
            Outcome::Returned => self.write(End::Done, "done").await,
            Outcome::ShutDown => self.write(End::GivenBack, "given_back").await,
            Outcome::Failed(failure) => {
                tracing::warn!(error = failure.error.chain(), "an attempt has failed");
                self.write(End::failed(&failure.error.to_string(), failure.next), "failed").await
            }
            // The panic itself is in the log already, by the hook of the process.
            Outcome::Panicked => {
                self.write(End::failed("The handler panicked.", Next::SOON), "panicked").await
            }
            Outcome::TimedOut => {
                tracing::warn!("an attempt was cut at its deadline");
                let end = End::failed("The attempt took longer than its limit.", Next::SOON);
                self.write(end, "timed_out").await
            }
            Outcome::Lost => lost(),
        }
    }

    /// Repeats a write until its outcome is known: while this process keeps its lease nobody else has the job. A repeat
    /// after a success whose answer was lost hits no row.
    async fn write(&self, end: End, word: &'static str) -> &'static str {
        let mut pause = Duration::from_millis(50);
        loop {
            match self.try_write(&end).await {
                Ok(Written::Yes) => return word,
                Ok(Written::Dead) => return "dead",
                Ok(Written::Nothing) => return lost(),
                Err(error) => {
                    tracing::warn!(
                        error = error.chain(),
                        "the end of an attempt cannot be stored; trying again"
                    );
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(2)),
                () = self.identity.fenced.cancelled() => return lost(),
            }
        }
    }

    async fn try_write(&self, end: &End) -> Result<Written> {
        let (reason, is_final, pause) = match end {
            End::Done => return Ok(Written::of(self.finisher.done(self.ticket).await?)),
            End::GivenBack => {
                let given_back =
                    async |conn: &mut AsyncPgConnection| Ok(queue::give_back(conn, self.ticket).await?);
                return Ok(Written::of(self.writes.end(given_back).await?));
            }
            End::Failed { reason, is_final, pause } => (reason, *is_final, *pause),
        };
        let failed = async |conn: &mut AsyncPgConnection| {
            Ok(queue::fail(conn, self.ticket, reason, is_final, pause).await?)
        };
        match self.writes.end(failed).await? {
            Some(ended) if ended.is_dead => {
                ended.log();
                Ok(Written::Dead)
            }
            ended => Ok(Written::of(ended.is_some())),
        }
    }
}

/// What is written of an end.
enum End {
    Done,
    GivenBack,
    Failed { reason: String, is_final: bool, pause: Duration },
}

impl End {
    fn failed(reason: &str, next: Next) -> Self {
        let reason = reason.chars().take(MAX_REASON).collect();
        match next {
            Next::After(pause) => Self::Failed { reason, is_final: false, pause: pause.min(MAX_PAUSE) },
            Next::Never => Self::Failed { reason, is_final: true, pause: Duration::ZERO },
        }
    }
}

/// What a write has done.
enum Written {
    Yes,
    /// And there is no further attempt.
    Dead,
    /// The job is somebody else's.
    Nothing,
}

impl Written {
    fn of(is_written: bool) -> Self {
        if is_written { Self::Yes } else { Self::Nothing }
    }
}

/// Nothing was written, because the job is somebody else's.
fn lost() -> &'static str {
    tracing::warn!("the job was taken over; this attempt has written nothing more");
    "lost"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_older_run_does_not_hide_the_newer_one_of_the_same_job() {
        let running = Running::default();
        let older = Ticket { job_id: Uuid::from_u128(1), owner_id: Uuid::from_u128(2), fence: 1 };
        let first = running.enter(older);
        let second = running.enter(Ticket { fence: 2, ..older });
        assert_eq!(running.len(), 2);
        drop(first);
        assert_eq!((running.len(), running.ids()), (1, vec![older.job_id]));
        drop(second);
        assert_eq!(running.len(), 0);
    }
}
