//! `loquent serve [--dev]`

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, bail};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::{Verdict, banner::Banner, database::Database, demo, say};
use crate::{
    app::App,
    config::{self, Config},
    graphql::graphiql,
    platform::{clock::Clock, postgres::migrate},
    server::{Running, Server},
};

/// Time that closing sockets and open requests get before running answers are waited for.
const SOCKETS: Duration = Duration::from_secs(5);

pub async fn run(config: &Config) -> anyhow::Result<Verdict> {
    // First of all: a port that is taken should not cost a start of the database.
    let address = SocketAddr::new(config.server.host, config.server.port);
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let database = Database::open(config).await?;
    let result = serve(config, listener, &database).await;
    database.close().await;
    result
}

async fn serve(config: &Config, listener: TcpListener, database: &Database) -> anyhow::Result<Verdict> {
    for name in migrate::up(&database.url).await? {
        tracing::info!(name, "applied a migration");
    }
    let keys = signing_keys(config)?;
    let app = App::start(config, &keys, &database.url, Clock::default()).await?;
    let demo = match config.is_dev {
        true => demo::find_or_create(&app.accounts, &config.database.data_dir).await?,
        false => None,
    };
    let graphiql = config.is_dev.then(|| graphiql::Settings { demo: demo.clone() });
    let running = Server::start(app.server(&config.limits, graphiql), listener)?;
    let banner = Banner {
        address: running.address,
        is_dev: config.is_dev,
        cluster: database.cluster.as_ref(),
        demo: demo.as_ref(),
    };
    say(banner);
    let end = wait_for_end(database).await?;
    stop(config, app, running, &end).await;
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

/// Not ready, no new work, sockets closed, answers finished or interrupted and settled.
async fn stop(config: &Config, app: App, running: Running, end: &End) {
    let patience = match end {
        End::Signal(name) => {
            tracing::info!(signal = name, "stopping");
            Duration::from_secs(config.server.drain_seconds)
        }
        // Nothing can be stored any more.
        End::Database(_) => Duration::ZERO,
    };
    app.tasks.draining().cancel();
    if !running.drain(SOCKETS.min(patience)).await {
        tracing::warn!("connections that did not end in time were cut");
    }
    if app.stop(patience).await {
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
