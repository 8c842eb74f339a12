//! Waiting for an answer, for callers who cannot watch it.

use std::{future::Future, pin::pin};

use futures_util::StreamExt;
use uuid::Uuid;

use super::{
    Generations,
    started::{Started, TurnIds},
};
use crate::{
    domains::{accounts::Viewer, generations::watch::WatchEvent},
    error::Result,
};

impl Generations {
    /// Waits for the end of an answer, as any watcher would, and returns the turn as it is then. Waits no longer than
    /// until `is_over` completes or the process stops; the run goes on in any case.
    pub async fn wait_for_answer(
        &self,
        viewer: Viewer,
        started: Started,
        is_over: impl Future<Output = ()>,
    ) -> Started {
        if started.answer.status().is_terminal() {
            return started;
        }
        match self.try_wait(viewer, &started, is_over).await {
            Ok(now) => now,
            // The turn was accepted, which the caller must learn whatever becomes of the waiting.
            Err(error) => {
                error.log();
                started
            }
        }
    }

    async fn try_wait(
        &self,
        viewer: Viewer,
        started: &Started,
        is_over: impl Future<Output = ()>,
    ) -> Result<Started> {
        tokio::select! {
            ended = self.has_ended(viewer, started.answer.id) => ended?,
            () = is_over => {}
            () = self.tasks.draining().cancelled() => {}
        }
        self.read_turn(viewer, TurnIds::of(started)).await
    }

    /// Completes when a message has ended, or is gone.
    async fn has_ended(&self, viewer: Viewer, message_id: Uuid) -> Result<()> {
        let Some(events) = self.watch(viewer, message_id, None).await? else { return Ok(()) };
        let mut events = pin!(events);
        while let Some(event) = events.next().await {
            if matches!(event?, WatchEvent::Finished(_)) {
                break;
            }
        }
        Ok(())
    }
}
