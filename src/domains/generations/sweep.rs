//! Ends what dead processes left. Every process sweeps; whoever is first ends a run, the others find it ended.

use std::time::Duration;

use diesel_async::AsyncPgConnection;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    engine::estimated_usage,
    hub::Hub,
    log::{LogSettings, LogWriter},
    model::{Content, Failure, FinishReason, GenerationRow},
    repo::{self, Ending},
};
use crate::{
    domains::{
        conversations::RunStatus,
        credits::{Hold, Terms},
    },
    error::{AppError, Result},
    platform::postgres::{Db, replicas},
};

const PACE: Duration = Duration::from_secs(2);
/// Runs ended in one round at most; the next round is two seconds later.
const ROUND: i64 = 200;
/// An unfinished run of this process that nobody here runs is abandoned after so long.
const STALE_SECONDS: i64 = 10;

/// The sweeper of a process.
pub struct Sweeper {
    pub db: Db,
    pub log: LogWriter,
    pub hub: Hub,
    pub settings: LogSettings,
    /// Age at which a slot of the stream log is left for the next.
    pub retention: Duration,
}

impl Sweeper {
    /// Sweeps until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(PACE.min(self.settings.lease / 2));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            if let Err(error) = self.sweep().await {
                tracing::warn!(error = error.chain(), "sweeping failed; the next round tries again");
            }
        }
    }

    async fn sweep(&self) -> Result<()> {
        let replica_id = self.log.identity().replica_id;
        let mut conn = self.db.conn().await?;
        for gone in replicas::fence_dead(&mut conn, replica_id, self.settings.lease_ms()).await? {
            tracing::warn!(replica.id = %gone, "a process is gone; its runs are ended here");
        }
        let mut orphans = repo::list_orphans_unscoped(&mut conn, ROUND).await?;
        // A turn that was accepted while its answer was lost, or whose task broke, is ours but in nobody's hands.
        let stale = repo::list_stale_unscoped(&mut conn, replica_id, STALE_SECONDS, ROUND).await?;
        orphans.extend(stale.into_iter().filter(|generation| !self.hub.has(generation.id)));
        for generation in orphans {
            let id = generation.id;
            if let Err(error) = end_orphan(&mut conn, generation).await {
                tracing::error!(error = error.chain(), generation.id = %id, "an orphaned run could not be ended");
            }
        }
        let seconds = i64::try_from(self.retention.as_secs()).unwrap_or(i64::MAX);
        if repo::rotate(&mut conn, seconds).await? {
            tracing::debug!("the ring of the stream log has turned");
        }
        Ok(())
    }
}

/// Ends a run from what its log has: charged for the committed text, or returned in full when there is none.
async fn end_orphan(conn: &mut AsyncPgConnection, generation: GenerationRow) -> Result<()> {
    let content = match generation.message_id {
        Some(message_id) => committed_text(conn, message_id).await?,
        None => Content::of_events([]),
    };
    let terms: Terms = serde_json::from_value(generation.terms).map_err(AppError::internal)?;
    let hold = Hold::inherited(generation.id, terms, generation.credits_held);
    let resolution = match content.parts.is_empty() {
        true => hold.release(),
        false => hold.settle(estimated_usage(&content.parts, &terms)),
    };
    let is_stopped = generation.stop_requested_at.is_some() || generation.message_id.is_none();
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
        description: super::service::describe_charge(&generation.model_key),
    };
    if repo::finish_turn(conn, generation.replica_id, &ending).await?.is_some() {
        ending.resolution.count();
        tracing::info!(generation.id = %generation.id, status = status.as_str(), "an orphaned run was ended");
    }
    Ok(())
}

async fn committed_text(conn: &mut AsyncPgConnection, message_id: Uuid) -> Result<Content> {
    let events = repo::list_events_unscoped(conn, &[message_id]).await?;
    Ok(Content::of_events(events.iter().map(|(_, event)| event)))
}
