//! Starting, stopping and watching answers.

mod one_shot;
mod price;
mod rows;
mod send;
mod started;
mod submission;
mod titles;
mod wait;
mod wishes;

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    changes::Watches,
    engine::Engine,
    follower::Follower,
    hub::Hub,
    log::{LogSettings, LogWriter},
    model::GenerationRow,
    repo,
    sweep::Sweeper,
    title::Titles,
    watch::{self, WatchEvent},
};
use crate::{
    domains::{
        accounts::Viewer,
        catalog::Catalog,
        credits::{CeilingAlarm, Quota},
        moderation::Moderation,
        subscriptions::Subscriptions,
    },
    error::{AppError, Result},
    platform::{
        clock::Clock,
        postgres::{Db, partitions},
        replica::Replica,
        tasks::Tasks,
    },
    providers::registry::Registry,
};

pub use one_shot::{OneShot, Turn};
pub use started::Started;
pub use wishes::TurnRequest;

/// Limits and pace of the answers of a process.
#[derive(Debug, Clone, Copy)]
pub struct GenerationSettings {
    pub log: LogSettings,
    /// Longest time for one answer.
    pub limit: Duration,
    /// How long a finished answer can still be resumed event by event.
    pub retention: Duration,
}

/// What answers are made with.
pub struct Parts {
    /// Connections of callers.
    pub requests: Db,
    /// Connections of the log and of the ends of runs.
    pub background: Db,
    pub clock: Clock,
    pub tasks: Tasks,
    pub catalog: Catalog,
    pub subscriptions: Subscriptions,
    pub moderation: Moderation,
    pub watches: Watches,
    pub providers: Arc<Registry>,
    pub titles: Titles,
}

/// A run that was asked to stop.
#[derive(Debug, Clone)]
pub struct Canceled {
    pub generation: GenerationRow,
    /// All limits of its account, by the plan in force now: the one of its beginning may be over.
    pub quotas: Vec<Quota>,
}

/// The use cases; clones share everything.
#[derive(Clone)]
pub struct Generations {
    pub(super) db: Db,
    clock: Clock,
    tasks: Tasks,
    catalog: Catalog,
    subscriptions: Subscriptions,
    moderation: Moderation,
    pub(super) watches: Watches,
    providers: Arc<Registry>,
    hub: Hub,
    follower: Follower,
    log: LogWriter,
    engine: Engine,
    ceiling_alarm: CeilingAlarm,
    lease: Duration,
}

impl Generations {
    /// Starts the log of the process and the sweeper. Cancelling `stop` ends both after everything is stored.
    pub async fn start(parts: Parts, settings: GenerationSettings, stop: CancellationToken) -> Result<Self> {
        let Parts {
            requests,
            background,
            clock,
            tasks,
            catalog,
            subscriptions,
            moderation,
            watches,
            providers,
            titles,
        } = parts;
        partitions::ensure(&mut *background.conn().await?).await?;
        let hub = Hub::default();
        let log = LogWriter::start(
            background.clone(),
            clock.clone(),
            hub.clone(),
            watches.generations.clone(),
            &tasks,
            settings.log,
            stop.clone(),
        )
        .await?;
        let sweeper = Sweeper {
            db: background.clone(),
            log: log.clone(),
            hub: hub.clone(),
            watches: watches.clone(),
            settings: settings.log,
            retention: settings.retention,
        };
        tasks.spawn(sweeper.run(stop.clone()));
        let follower = Follower::default();
        tasks.spawn_until(stop, follower.clone().run(background.clone()));
        let engine = Engine {
            db: background,
            tasks: tasks.clone(),
            log: log.clone(),
            watches: watches.clone(),
            limit: settings.limit,
            titles,
        };
        let lease = settings.log.lease;
        let ceiling_alarm = CeilingAlarm::default();
        Ok(Self {
            db: requests,
            clock,
            tasks,
            catalog,
            subscriptions,
            moderation,
            watches,
            providers,
            hub,
            follower,
            log,
            engine,
            ceiling_alarm,
            lease,
        })
    }

    /// True while the stream log is written: the lease of this process holds.
    pub fn is_writing(&self) -> bool {
        self.silence() < self.lease
    }

    /// Time since the stream log was last written.
    pub fn silence(&self) -> Duration {
        self.log.silence()
    }

    /// Id of this process among its replicas; a new one after it lost its lease.
    pub fn replica_id(&self) -> Uuid {
        self.log.identity().replica_id
    }

    /// The identity that the stream log keeps alive.
    pub fn replica(&self) -> Replica {
        self.log.replica().clone()
    }

    /// Answers in progress in this process.
    pub fn running(&self) -> usize {
        self.hub.len()
    }

    /// Asks a run of the viewer to stop and waits a moment for its end. Stopping twice, or what has ended, is no error.
    pub async fn cancel(&self, viewer: Viewer, id: Uuid) -> Result<Canceled> {
        let this = self.clone();
        let work = async move {
            let row = this.find(viewer, id).await?;
            let row = row.ok_or_else(|| AppError::not_found("id", "generation"))?;
            if row.finished_at.is_some() {
                return this.canceled(viewer, row).await;
            }
            let ended = match this.stop(viewer, &row).await? {
                Some(ended) => Some(ended),
                // It takes longer than we wait: its watchers will see the end.
                None => this.find(viewer, id).await?,
            };
            this.canceled(viewer, ended.unwrap_or(row)).await
        };
        self.tasks.run(work).await
    }

    /// Asks, and waits a moment for the end, wherever it runs.
    async fn stop(&self, viewer: Viewer, row: &GenerationRow) -> Result<Option<GenerationRow>> {
        // A run without a message has its place under its own id.
        let here = self.hub.subscribe(row.message_id.unwrap_or(row.id));
        if repo::request_stop(&mut *self.db.conn().await?, viewer.user_id, row.id).await? {
            self.watches.generations.hint(row.id);
        }
        self.hub.stop(&[row.id]);
        let end = match (here, row.message_id) {
            (Some(signals), _) => signals,
            (None, Some(message_id)) => {
                // Where too many are followed, the stop is on its way all the same.
                let Ok(signals) = self.follower.listen(message_id) else { return Ok(None) };
                // Of the text it wants nothing.
                self.follower.follow(message_id, i32::MAX);
                signals
            }
            (None, None) => return Ok(None),
        };
        Ok(watch::wait_for_end(end).await.map(|finished| finished.generation.clone()))
    }

    async fn find(&self, viewer: Viewer, id: Uuid) -> Result<Option<GenerationRow>> {
        let rows = repo::list_generations(&mut *self.db.conn().await?, viewer.user_id, &[id]).await?;
        Ok(rows.into_iter().next())
    }

    /// A run as it is, with what it has left of the limits, wherever it ran.
    async fn canceled(&self, viewer: Viewer, generation: GenerationRow) -> Result<Canceled> {
        let quotas = self.subscriptions.quotas(viewer.user_id, generation.account_id).await?;
        Ok(Canceled { generation, quotas: quotas.unwrap_or_default() })
    }

    /// Events of a message after the one numbered `after`, or from a snapshot on; ends after the terminal one. `None` when
    /// the viewer may not read the message.
    pub async fn watch(
        &self,
        viewer: Viewer,
        message_id: Uuid,
        after: Option<i32>,
    ) -> Result<Option<impl futures_util::Stream<Item = Result<WatchEvent>> + Send + use<>>> {
        let sources = (self.hub.clone(), self.follower.clone());
        watch::watch(self.db.clone(), sources, viewer.user_id, message_id, after).await
    }
}
