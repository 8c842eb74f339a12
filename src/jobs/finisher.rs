//! Writes the ends of jobs that are done: those that end while one statement is under way go into the next together. A
//! single job waits for nobody, and many small ones share their commits.

use tokio::sync::{mpsc, oneshot};

use super::queue::{self, Ticket};
use crate::{
    error::{AppError, Result},
    platform::{postgres::Db, tasks::Tasks},
};

/// Ends that wait for the next statement at most; beyond, runs wait.
const WAITING: usize = 256;
/// Ends in one statement.
const BATCH: usize = 64;

type Asked = (Ticket, oneshot::Sender<Result<bool>>);

/// Handle of the runs; clones share the writer, which ends with the last of them.
#[derive(Clone)]
pub(super) struct Finisher(mpsc::Sender<Asked>);

impl Finisher {
    pub fn start(db: Db, tasks: &Tasks) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        tasks.spawn(write(db, receiver));
        Self(sender)
    }

    /// The job is done. False when it is somebody else's.
    pub async fn done(&self, ticket: Ticket) -> Result<bool> {
        let (answer, written) = oneshot::channel();
        self.0.send((ticket, answer)).await.map_err(|_| gone())?;
        written.await.map_err(|_| gone())?
    }
}

fn gone() -> AppError {
    AppError::unavailable(anyhow::anyhow!("the writer of ends has ended"))
}

async fn write(db: Db, mut receiver: mpsc::Receiver<Asked>) {
    let mut asked = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut asked, BATCH).await > 0 {
        let tickets: Vec<Ticket> = asked.iter().map(|(ticket, _)| *ticket).collect();
        let result =
            db.within(queue::LIMIT, async |conn| Ok(queue::complete_all(conn, &tickets).await?)).await;
        for (ticket, answer) in asked.drain(..) {
            // A run that does not wait any more has lost its job.
            let _ =
                answer.send(result.as_ref().map(|done| done.contains(&ticket.job_id)).map_err(Clone::clone));
        }
    }
}
