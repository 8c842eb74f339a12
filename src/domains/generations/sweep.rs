//! Ends what dead processes left. Every process sweeps; whoever is first ends a run, the others find it ended.

use std::time::Duration;

use diesel_async::AsyncPgConnection;
use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    bounds,
    changes::Watches,
    engine::estimated_usage,
    hub::Hub,
    log::{LogSettings, LogWriter},
    model::{Content, Failure, FinishReason, GenerationRow, Purpose},
    repo::{self, Ending},
};
use crate::{
    domains::{
        conversations::RunStatus,
        credits::{Hold, Terms},
    },
    error::{AppError, Result},
    platform::{
        metrics::names,
        postgres::{Db, replicas},
        tasks::every,
    },
};

/// The sweeper of a process.
pub struct Sweeper {
    pub db: Db,
    pub log: LogWriter,
    pub hub: Hub,
    pub watches: Watches,
    pub settings: LogSettings,
    /// Age at which a slot of the stream log is left for the next.
    pub retention: Duration,
}

impl Sweeper {
    /// Sweeps until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = every(bounds::SWEEP_PACE.min(self.settings.lease / 2));
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            match tokio::time::timeout(bounds::ROUND_LIMIT, self.sweep()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = error.chain(), "sweeping failed; the next round tries again");
                }
                Err(_) => tracing::warn!("sweeping takes too long; the next round tries again"),
            }
        }
    }

    async fn sweep(&self) -> Result<()> {
        let me = self.log.identity().replica_id;
        let lost = self.look(me).await?;
        self.end_all(me, lost).await;
        let mut last = Uuid::nil();
        loop {
            // Read before, so that no connection is held while others are waited for.
            let page = async |conn: &mut AsyncPgConnection| {
                Ok(repo::list_orphans_unscoped(conn, last, bounds::SWEEP_PAGE).await?)
            };
            let orphans = self.db.within(bounds::ROUND_LIMIT, page).await?;
            let Some(newest) = orphans.last() else { break };
            last = newest.id;
            self.end_all(me, orphans).await;
        }
        let seconds = i64::try_from(self.retention.as_secs()).unwrap_or(i64::MAX);
        if self.db.within(bounds::ROUND_LIMIT, async |conn| Ok(repo::rotate(conn, seconds).await?)).await? {
            tracing::debug!("the ring of the stream log has turned");
        }
        Ok(())
    }

    /// Fences the dead and counts the living. Returns the runs of this process that nobody here runs: a turn whose
    /// acceptance was lost on the way, or whose task broke.
    async fn look(&self, me: Uuid) -> Result<Vec<GenerationRow>> {
        let looked = self.db.within(bounds::ROUND_LIMIT, async |conn| {
            for gone in replicas::fence_dead(conn, me, self.settings.lease_ms()).await? {
                names::REPLICAS_FENCED.add([], 1);
                tracing::warn!(replica.id = %gone, "a process is gone; its runs are ended here");
            }
            names::REPLICAS.set([], f64::from(replicas::count_alive(conn).await?));
            Ok(repo::list_stale_unscoped(conn, me, bounds::STALE_SECONDS, bounds::SWEEP_PAGE).await?)
        });
        let stale = looked.await?;
        Ok(stale.into_iter().filter(|generation| !self.hub.has(generation.id)).collect())
    }

    async fn end_all(&self, me: Uuid, orphans: Vec<GenerationRow>) {
        stream::iter(orphans).for_each_concurrent(bounds::SWEEP_AT_ONCE, |orphan| self.end(me, orphan)).await;
    }

    /// Ends one run; what fails is tried again in the next round.
    async fn end(&self, writer: Uuid, generation: GenerationRow) {
        let id = generation.id;
        let work =
            self.db.within(bounds::ROUND_LIMIT, async |conn| end_orphan(conn, writer, generation).await);
        match work.await {
            Ok(Some(ended)) => self.watches.hint(&ended),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(error = error.chain(), generation.id = %id, "an orphaned run could not be ended");
            }
        }
    }
}

/// Ends a run from what its log has: charged for the committed text, or returned in full when there is none. `writer` is
/// this process. `None` when somebody else has ended it.
async fn end_orphan(
    conn: &mut AsyncPgConnection,
    writer: Uuid,
    generation: GenerationRow,
) -> Result<Option<GenerationRow>> {
    let content = match generation.message_id {
        Some(message_id) => committed_text(conn, message_id).await?,
        None => Content::of_events([]),
    };
    let purpose = generation.purpose();
    let terms: Terms = serde_json::from_value(generation.terms).map_err(AppError::internal)?;
    let hold = Hold::inherited(generation.id, terms, generation.credits_held);
    let resolution = match content.parts.is_empty() {
        true => hold.release(),
        false => hold.settle(estimated_usage(&content.parts, &terms)),
    };
    let is_gone = purpose == Purpose::Answer && generation.message_id.is_none();
    let is_stopped = generation.stop_requested_at.is_some() || is_gone;
    let (status, finish_reason, failure) = match is_stopped {
        true => (RunStatus::Canceled, FinishReason::Canceled, None),
        false => (RunStatus::Interrupted, FinishReason::Error, Some(Failure::interrupted())),
    };
    let ending = Ending {
        status,
        finish_reason,
        failure,
        parts: serde_json::json!(*content.parts),
        sequence: content.sequence + 1,
        is_output_capped: generation.is_output_capped,
        resolution,
        description: purpose.describe(&generation.model_key),
    };
    let settled = repo::finish_turn(conn, writer, generation.replica_id, &ending).await?;
    if settled.is_some() {
        ending.resolution.count();
        tracing::info!(generation.id = %generation.id, status = status.as_str(), "an orphaned run was ended");
    }
    Ok(settled.map(|settled| settled.generation))
}

async fn committed_text(conn: &mut AsyncPgConnection, message_id: Uuid) -> Result<Content> {
    let events = repo::list_events_unscoped(conn, &[message_id]).await?;
    Ok(Content::of_events(events.iter().map(|(_, event)| event)))
}
