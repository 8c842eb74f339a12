//! The log writer: one a process, the only one that appends to the stream log. It collects what all runs said within a
//! few milliseconds, commits it with one statement, and only then passes it on to the watchers. The same statement
//! renews the lease of the process, so a process that cannot write cannot believe that it is alive.
//!
//! ```text
//! run ─┐ append                                   ┌─ hub ─ watchers
//! run ─┼───────▶ buffer ── flush (commit) ────────┤
//! run ─┘ (bounded: a full buffer makes runs wait)  └─ close: all of it is stored
//! ```
//!
//! A flush that fails is repeated until its outcome is known: rows are keyed by message and sequence, so a repeat
//! adds nothing twice. Nothing is passed on meanwhile. A flush that finds the process fenced writes nothing: every run
//! here is given up, for others have ended them, and the process goes on under a new identity.

mod flusher;

use std::{collections::HashMap, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::flusher::{Flusher, announce};
use super::{bounds, changes::GenerationWatch, hub::Hub, model::PartKind};
use crate::{
    error::{AppError, Result},
    platform::{
        clock::Clock,
        postgres::Db,
        replica::{Identity, Replica},
        tasks::Tasks,
    },
};

/// Pace of the log.
#[derive(Debug, Clone, Copy)]
pub struct LogSettings {
    /// Shortest time between two flushes.
    pub flush: Duration,
    /// Life of the process without a flush.
    pub lease: Duration,
}

impl LogSettings {
    pub fn lease_ms(&self) -> i64 {
        i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Handle of the runs; clones share the writer.
#[derive(Clone)]
pub struct LogWriter {
    commands: mpsc::Sender<Command>,
    replica: Replica,
    flushed: watch::Receiver<Instant>,
}

/// What runs tell the writer.
enum Command {
    Append { writer: Uuid, message_id: Uuid, part_index: i16, kind: PartKind, text: String },
    Close { writer: Uuid, message_id: Uuid, closed: oneshot::Sender<i32> },
}

impl LogWriter {
    /// Announces this process to the database and starts writing. It ends when `stop` is cancelled, after everything
    /// that was appended is stored.
    pub async fn start(
        db: Db,
        clock: Clock,
        hub: Hub,
        watch: GenerationWatch,
        tasks: &Tasks,
        settings: LogSettings,
        stop: CancellationToken,
    ) -> Result<Self> {
        let identity = announce(&db, &clock, settings).await?;
        let (commands, receiver) = mpsc::channel(bounds::BUFFER);
        let (identities, replica) = Replica::new(identity);
        let (flushes, flushed) = watch::channel(Instant::now());
        let flusher = Flusher {
            db,
            clock,
            hub,
            watch,
            settings,
            commands: receiver,
            identities,
            flushes,
            sequences: HashMap::new(),
        };
        tasks.spawn(flusher.run(stop));
        Ok(Self { commands, replica, flushed })
    }

    /// Time since the last flush that succeeded; beyond the lease, this process is dead to the others.
    pub fn silence(&self) -> Duration {
        self.flushed.borrow().elapsed()
    }

    pub fn identity(&self) -> Identity {
        self.replica.current()
    }

    /// The identity whose lease the log renews.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Waits until this process goes by another identity than `fenced`.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when it has none in time.
    pub async fn renewed(&self, fenced: Uuid) -> Result<()> {
        match tokio::time::timeout(bounds::RENEWAL_LIMIT, self.replica.other_than(fenced)).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) | Err(_) => Err(AppError::unavailable(anyhow::anyhow!("this process is fenced"))),
        }
    }

    /// Waits for room for one more piece. What is said with it is stored when a later [`Self::close`] returns, and
    /// watchers see it when it is.
    pub async fn reserve(&self) -> Result<Room<'_>> {
        self.commands.reserve().await.map(Room).map_err(|_| gone())
    }

    /// Waits until everything said of a message is stored; returns the number of its last event, 0 without any. Fails
    /// when `writer` was fenced.
    pub async fn close(&self, writer: Uuid, message_id: Uuid) -> Result<i32> {
        let (closed, last) = oneshot::channel();
        self.commands.send(Command::Close { writer, message_id, closed }).await.map_err(|_| gone())?;
        last.await.map_err(|_| gone())
    }
}

/// A place in the buffer. Waiting for it may be given up without a trace; saying cannot.
pub struct Room<'a>(mpsc::Permit<'a, Command>);

impl Room<'_> {
    /// Says one more piece of a message, for the identity `writer` that began it.
    pub fn say(self, writer: Uuid, message_id: Uuid, part_index: i16, kind: PartKind, text: String) {
        self.0.send(Command::Append { writer, message_id, part_index, kind, text });
    }
}

fn gone() -> AppError {
    AppError::unavailable(anyhow::anyhow!("the stream log has ended or given this run up"))
}
