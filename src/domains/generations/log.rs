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

use std::{collections::HashMap, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    hub::Hub,
    model::{Delta, PartKind},
    repo::{self, Batch, Flushed},
};
use crate::{
    error::{AppError, Result},
    platform::{
        clock::Clock,
        ids::new_uuid,
        metrics::names,
        postgres::{Db, replicas},
        replica::{Identity, Replica},
        tasks::{Tasks, every},
    },
};

/// Pieces of text that wait for a flush at most; beyond, runs wait, and their providers with them.
const BUFFER: usize = 1024;
/// Text in one flush at most.
const MAX_BATCH_BYTES: usize = 4 << 20;
/// Pace of the lease, and of asking for stops, while runs are open and while none is.
const BUSY_PULSE: Duration = Duration::from_millis(250);
const IDLE_PULSE: Duration = Duration::from_secs(2);
/// What follows a piece within so short a time came with it, and goes into the same flush: an answer that arrives at
/// once is one flush, and a first word after a silence still waits no longer than this.
const LULL: Duration = Duration::from_millis(1);
/// A statement that takes longer, because the server is not heard of, is given up and repeated on another connection:
/// half a lease, so that the repeat comes in time, but within these bounds.
const FLUSH_LIMITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(20)];
/// The same for the last statement; the process waits for it.
const GOODBYE_LIMIT: Duration = Duration::from_secs(2);
/// Longest wait of a turn for the next identity of a process that was fenced.
const RENEWAL_LIMIT: Duration = Duration::from_secs(5);

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
        tasks: &Tasks,
        settings: LogSettings,
        stop: CancellationToken,
    ) -> Result<Self> {
        let identity = announce(&db, &clock, settings).await?;
        let (commands, receiver) = mpsc::channel(BUFFER);
        let (identities, replica) = Replica::new(identity);
        let (flushes, flushed) = watch::channel(Instant::now());
        let flusher = Flusher {
            db,
            clock,
            hub,
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
        match tokio::time::timeout(RENEWAL_LIMIT, self.replica.other_than(fenced)).await {
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

async fn announce(db: &Db, clock: &Clock, settings: LogSettings) -> Result<Identity> {
    let replica_id = new_uuid(clock);
    let lease_ms = settings.lease_ms();
    db.within(FLUSH_LIMITS[1], async |conn| Ok(replicas::insert(conn, replica_id, lease_ms).await?)).await?;
    tracing::info!(replica.id = %replica_id, "this process is known to the others by this id");
    Ok(Identity::new(replica_id))
}

/// Pieces that wait, in order, with neighbours joined.
#[derive(Default)]
struct Pending {
    batch: Batch,
    bytes: usize,
    closes: Vec<(Uuid, oneshot::Sender<i32>)>,
    /// Place of the last piece of each message in the batch.
    last: HashMap<Uuid, usize>,
}

struct Flusher {
    db: Db,
    clock: Clock,
    hub: Hub,
    settings: LogSettings,
    commands: mpsc::Receiver<Command>,
    identities: watch::Sender<Identity>,
    flushes: watch::Sender<Instant>,
    /// Number of the newest event of every open message.
    sequences: HashMap<Uuid, i32>,
}

impl Flusher {
    async fn run(mut self, stop: CancellationToken) {
        let mut pulse = every(BUSY_PULSE);
        let mut last_flush = Instant::now();
        loop {
            let mut pending = Pending::default();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Close { writer, message_id, closed }) => {
                        // All of it was stored before, so there is nothing to flush.
                        self.close(writer, message_id, closed);
                        continue;
                    }
                    Some(command) => self.take(&mut pending, command),
                    None => break,
                },
                _ = pulse.tick() => {
                    if self.hub.len() == 0 && last_flush.elapsed() < self.idle_pulse() {
                        continue;
                    }
                }
                () = stop.cancelled() => {
                    self.commands.close();
                    if self.commands.is_empty() {
                        break;
                    }
                    continue;
                }
            }
            self.collect(&mut pending, last_flush).await;
            self.flush(pending).await;
            last_flush = Instant::now();
            pulse.reset();
        }
        self.say_goodbye().await;
    }

    fn idle_pulse(&self) -> Duration {
        IDLE_PULSE.min(self.settings.lease / 3)
    }

    /// Takes what else arrives until the window since the last flush is over and a lull has come, or a whole window has
    /// passed; a full batch ends it early.
    async fn collect(&mut self, pending: &mut Pending, last_flush: Instant) {
        let (soonest, latest) = (last_flush + self.settings.flush, Instant::now() + self.settings.flush);
        loop {
            while pending.bytes < MAX_BATCH_BYTES {
                match self.commands.try_recv() {
                    Ok(command) => self.take(pending, command),
                    Err(_) => break,
                }
            }
            if pending.bytes >= MAX_BATCH_BYTES {
                return;
            }
            let end = (Instant::now() + LULL).max(soonest).min(latest);
            match tokio::time::timeout_at(end, self.commands.recv()).await {
                Ok(Some(command)) => self.take(pending, command),
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn take(&mut self, pending: &mut Pending, command: Command) {
        let me = self.identities.borrow().replica_id;
        match command {
            // What a fenced identity still says is dropped; the dropped `closed` tells its run so.
            Command::Append { writer, .. } | Command::Close { writer, .. } if writer != me => {}
            Command::Append { message_id, part_index, kind, text, .. } => {
                pending.bytes += text.len();
                let batch = &mut pending.batch;
                if let Some(&last) = pending.last.get(&message_id)
                    && batch.part_indexes[last] == part_index
                {
                    batch.texts[last].push_str(&text);
                    return;
                }
                let sequence = self.sequences.entry(message_id).or_default();
                *sequence += 1;
                pending.last.insert(message_id, batch.texts.len());
                batch.message_ids.push(message_id);
                batch.sequences.push(*sequence);
                batch.part_indexes.push(part_index);
                batch.kinds.push(kind.as_str());
                batch.texts.push(text);
            }
            Command::Close { message_id, closed, .. } => pending.closes.push((message_id, closed)),
        }
    }

    /// Tells a run that all it said is stored; a fenced one learns it from the dropped `closed`.
    fn close(&mut self, writer: Uuid, message_id: Uuid, closed: oneshot::Sender<i32>) {
        if writer == self.identities.borrow().replica_id {
            // A run that does not wait any more has been given up itself.
            let _ = closed.send(self.sequences.remove(&message_id).unwrap_or_default());
        }
    }

    /// Commits, and only then delivers.
    async fn flush(&mut self, pending: Pending) {
        let flushed = self.commit(&pending.batch).await;
        if !flushed.is_alive {
            names::FLUSHES.add(["fenced".into()], 1);
            self.take_new_identity().await;
            return;
        }
        self.flushes.send_replace(Instant::now());
        names::FLUSHES.add(["ok".into()], 1);
        names::STREAM_EVENTS.add([], pending.batch.texts.len() as u64);
        self.hub.stop(&flushed.stops);
        let Batch { message_ids, sequences, part_indexes, kinds, texts } = pending.batch;
        let events = message_ids.into_iter().zip(sequences).zip(part_indexes).zip(kinds).zip(texts);
        for ((((message_id, sequence), part_index), kind), text) in events {
            self.hub.publish(message_id, Delta { sequence, part_index, kind: PartKind::parse(kind), text });
        }
        for (message_id, closed) in pending.closes {
            // A run that does not wait any more has been given up itself.
            let _ = closed.send(self.sequences.remove(&message_id).unwrap_or_default());
        }
    }

    /// Repeats the statement until its outcome is known. Bounded by the life of the process: without the database
    /// there is nothing else it could do, and its runs wait for it.
    async fn commit(&self, batch: &Batch) -> Flushed {
        let replica_id = self.identities.borrow().replica_id;
        let limit = (self.settings.lease / 2).clamp(FLUSH_LIMITS[0], FLUSH_LIMITS[1]);
        // After an outage all leases are over, and whoever comes back first waits one lease for the others.
        let longest_pause = IDLE_PULSE.min(self.settings.lease / 4);
        let mut is_repeat = false;
        let mut pause = Duration::from_millis(50);
        loop {
            let lease_ms = self.settings.lease_ms();
            let started = Instant::now();
            let attempt = self.db.within(limit, async |conn| {
                Ok(repo::flush(conn, replica_id, lease_ms, batch, is_repeat).await?)
            });
            match attempt.await {
                Ok(flushed) => {
                    names::FLUSH_SECONDS.observe([], started.elapsed());
                    return flushed;
                }
                Err(error) => {
                    tracing::warn!(
                        error = error.chain(),
                        events = batch.texts.len(),
                        "the stream log cannot be written; trying again"
                    )
                }
            }
            names::FLUSHES.add(["failed".into()], 1);
            is_repeat = true;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest_pause);
        }
    }

    /// Fenced: others have ended, or will end, every run that was open here.
    async fn take_new_identity(&mut self) {
        let old = self.identities.borrow().clone();
        tracing::error!(replica.id = %old.replica_id, runs = self.hub.len(), "this process lost its lease; its runs are ended by others");
        self.sequences.clear();
        old.fenced.cancel();
        loop {
            match announce(&self.db, &self.clock, self.settings).await {
                Ok(identity) => {
                    self.identities.send_replace(identity);
                    // The lease of the new identity holds from here on.
                    self.flushes.send_replace(Instant::now());
                    return;
                }
                Err(error) => {
                    tracing::warn!(error = error.chain(), "cannot announce this process again; trying again")
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn say_goodbye(&self) {
        let replica_id = self.identities.borrow().replica_id;
        let goodbye =
            self.db.within(GOODBYE_LIMIT, async |conn| Ok(replicas::mark_drained(conn, replica_id).await?));
        if let Err(error) = goodbye.await {
            // The lease runs out by itself.
            tracing::warn!(error = error.chain(), "the end of this process could not be recorded");
        }
    }
}
