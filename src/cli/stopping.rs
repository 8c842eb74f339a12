//! The end of a process that works until it is told to stop: what it waits for, and the order in which it takes itself
//! down.

use std::time::Duration;

use anyhow::bail;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};

use super::{Verdict, database::Database};
use crate::{app::App, config::Config, server::Running};

/// Time that closing sockets and open requests get before running answers are waited for.
const SOCKETS: Duration = Duration::from_secs(5);

/// Why a process stops.
enum End {
    Signal(&'static str),
    /// The bundled database is gone; the end of its log.
    Database(String),
}

/// Waits for the end and stops. `running` is what answers requests, if anything does.
pub async fn wait_and_stop(
    config: &Config,
    app: App,
    running: Option<Running>,
    database: &Database,
) -> anyhow::Result<Verdict> {
    let end = wait_for_end(database).await?;
    let deadline = Instant::now() + Duration::from_secs(config.server.drain_seconds);
    let grace = Duration::from_secs(config.server.ready_grace_seconds);
    tokio::select! {
        () = stop(app, running, &end, deadline, grace) => {}
        () = interrupted() => tracing::warn!("stopping at once; what runs is ended by the next process"),
    }
    match end {
        End::Signal(_) => Ok(Verdict::Passed),
        End::Database(log) => bail!("the database server has ended; the end of its log:\n{log}"),
    }
}

async fn wait_for_end(database: &Database) -> anyhow::Result<End> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let database_end = async {
        match &database.cluster {
            Some(cluster) => cluster.exited().await,
            None => std::future::pending().await,
        }
    };
    Ok(tokio::select! {
        _ = terminate.recv() => End::Signal("SIGTERM"),
        _ = interrupt.recv() => End::Signal("SIGINT"),
        log = database_end => End::Database(log.to_string()),
    })
}

/// A second Ctrl-C.
async fn interrupted() {
    match signal(SignalKind::interrupt()) {
        Ok(mut interrupt) => drop(interrupt.recv().await),
        Err(_) => std::future::pending().await,
    }
}

/// Not ready; after the grace no new work, sockets closed, answers finished or interrupted and settled. Takes at most four
/// seconds beyond the deadline.
async fn stop(app: App, running: Option<Running>, end: &End, deadline: Instant, grace: Duration) {
    let deadline = match end {
        End::Signal(name) => {
            tracing::info!(signal = name, "stopping");
            deadline
        }
        // Nothing can be stored any more.
        End::Database(_) => Instant::now(),
    };
    if let Some(running) = running {
        running.retire();
        sleep(grace.min(deadline.saturating_duration_since(Instant::now()))).await;
        app.tasks.draining().cancel();
        let left = deadline.saturating_duration_since(Instant::now());
        if !running.drain(SOCKETS.min(left)).await {
            tracing::warn!("connections that did not end in time were cut");
        }
    }
    if app.stop(deadline).await {
        tracing::info!("stopped; every answer is settled");
    } else {
        tracing::warn!("stopped; what is left is ended by the next process");
    }
}
