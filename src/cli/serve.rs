//! `loquent serve [--dev]`

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, bail};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};

use super::{Verdict, banner::Banner, database::Database, demo, say};
use crate::{
    app::App,
    config::{self, Config},
    graphql::graphiql,
    jobs::Registry,
    platform::{clock::Clock, postgres::migrate},
    server::{Running, Server, descriptors},
};

/// Time that closing sockets and open requests get before running answers are waited for.
const SOCKETS: Duration = Duration::from_secs(5);

/// Time that the bundled database server gets to stop.
const DATABASE: Duration = Duration::from_secs(10);

pub async fn run(config: &Config) -> anyhow::Result<Verdict> {
    descriptors::raise();
    // First of all: a port that is taken should not cost a start of the database.
    let address = SocketAddr::new(config.server.host, config.server.port);
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let database = Database::open(config).await?;
    let result = serve(config, listener, &database).await;
    // With the drain before it this stays below 45 s; the server's watchdog ends what is left.
    if tokio::time::timeout(DATABASE, database.close()).await.is_err() {
        tracing::warn!("the database server does not stop; it is left to its watchdog");
    }
    result
}

async fn serve(config: &Config, listener: TcpListener, database: &Database) -> anyhow::Result<Verdict> {
    for name in migrate::up(&database.url).await? {
        tracing::info!(name, "applied a migration");
    }
    let keys = signing_keys(config)?;
    let app = App::start(config, &keys, &database.url, Clock::default(), Registry::default()).await?;
    let demo = match config.is_dev {
        true => demo::find_or_create(&app.accounts, &config.database.data_dir).await?,
        false => None,
    };
    let graphiql = config.is_dev.then(|| graphiql::Settings { demo: demo.clone() });
    let running = Server::start(app.server(config, graphiql), listener)?;
    let banner = Banner {
        address: running.address,
        is_dev: config.is_dev,
        cluster: database.cluster.as_ref(),
        demo: demo.as_ref(),
    };
    say(banner);
    let end = wait_for_end(database).await?;
    let deadline = Instant::now() + Duration::from_secs(config.server.drain_seconds);
    tokio::select! {
        () = stop(app, running, &end, deadline, Duration::from_secs(config.server.ready_grace_seconds)) => {}
        () = interrupted() => tracing::warn!("stopping at once; what runs is ended by the next process"),
    }
    match end {
        End::Signal(_) => Ok(Verdict::Passed),
        End::Database(log) => bail!("the database server has ended; the end of its log:\n{log}"),
    }
}

/// Why the server stops.
enum End {
    Signal(&'static str),
    /// The bundled database is gone; the end of its log.
    Database(String),
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
async fn stop(app: App, running: Running, end: &End, deadline: Instant, grace: Duration) {
    let deadline = match end {
        End::Signal(name) => {
            tracing::info!(signal = name, "stopping");
            deadline
        }
        // Nothing can be stored any more.
        End::Database(_) => Instant::now(),
    };
    running.retire();
    sleep(grace.min(deadline.saturating_duration_since(Instant::now()))).await;
    app.tasks.draining().cancel();
    let left = deadline.saturating_duration_since(Instant::now());
    if !running.drain(SOCKETS.min(left)).await {
        tracing::warn!("connections that did not end in time were cut");
    }
    if app.stop(deadline).await {
        tracing::info!("stopped; every answer is settled");
    } else {
        tracing::warn!("stopped; what is left is ended by the next process");
    }
}

fn signing_keys(config: &Config) -> anyhow::Result<Vec<config::SigningKey>> {
    if !config.auth.signing_keys.is_empty() {
        return Ok(config.auth.signing_keys.clone());
    }
    let dir = &config.database.data_dir;
    let key = config::dev_signing_key(dir).with_context(|| format!("no signing key in {}", dir.display()))?;
    Ok(vec![key])
}
