//! The task that writes the stream log: gathers what has been said, commits it, and only then delivers.

use std::{collections::HashMap, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Command, LogSettings};
use crate::{
    domains::generations::{
        bounds,
        changes::GenerationWatch,
        hub::Hub,
        model::{Delta, PartKind},
        repo::{self, Batch, Flushed},
    },
    error::Result,
    platform::{
        clock::Clock,
        ids::new_uuid,
        metrics::names,
        postgres::{Db, replicas},
        replica::Identity,
        tasks::every,
    },
};

/// Gives this process a new identity and tells the database.
pub async fn announce(db: &Db, clock: &Clock, settings: LogSettings) -> Result<Identity> {
    let replica_id = new_uuid(clock);
    let lease_ms = settings.lease_ms();
    db.within(bounds::FLUSH_LIMITS[1], async |conn| Ok(replicas::insert(conn, replica_id, lease_ms).await?))
        .await?;
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

/// The one writer of a process.
pub struct Flusher {
    pub db: Db,
    pub clock: Clock,
    pub hub: Hub,
    pub watch: GenerationWatch,
    pub settings: LogSettings,
    pub commands: mpsc::Receiver<Command>,
    pub identities: watch::Sender<Identity>,
    /// When the newest flush succeeded.
    pub flushes: watch::Sender<Instant>,
    /// Number of the newest event of every open message.
    pub sequences: HashMap<Uuid, i32>,
}

impl Flusher {
    /// Writes until `stop` is cancelled, and then what is left.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut pulse = every(bounds::BUSY_PULSE);
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
        bounds::IDLE_PULSE.min(self.settings.lease / 3)
    }

    /// Takes what else arrives until the window since the last flush is over and a lull has come, or a whole window has
    /// passed; a full batch ends it early.
    async fn collect(&mut self, pending: &mut Pending, last_flush: Instant) {
        let (soonest, latest) = (last_flush + self.settings.flush, Instant::now() + self.settings.flush);
        loop {
            while pending.bytes < bounds::MAX_BATCH_BYTES {
                match self.commands.try_recv() {
                    Ok(command) => self.take(pending, command),
                    Err(_) => break,
                }
            }
            if pending.bytes >= bounds::MAX_BATCH_BYTES {
                return;
            }
            let end = (Instant::now() + bounds::LULL).max(soonest).min(latest);
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
        flushed.begun.iter().for_each(|id| self.watch.hint(*id));
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
        let limit = (self.settings.lease / 2).clamp(bounds::FLUSH_LIMITS[0], bounds::FLUSH_LIMITS[1]);
        // After an outage all leases are over, and whoever comes back first waits one lease for the others.
        let longest_pause = bounds::IDLE_PULSE.min(self.settings.lease / 4);
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
        let goodbye = self
            .db
            .within(bounds::GOODBYE_LIMIT, async |conn| Ok(replicas::mark_drained(conn, replica_id).await?));
        if let Err(error) = goodbye.await {
            // The lease runs out by itself.
            tracing::warn!(error = error.chain(), "the end of this process could not be recorded");
        }
    }
}
