//! `loquent runner`: the background side alone. It has a lease like every process, ends what dead processes left, and
//! does the work that waits; it answers nobody, so no client can slow it down, nor it them. With `--port` it shows
//! operators how it is.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use tokio::net::TcpListener;

use super::{Verdict, args::Runner, database::Database, say, stopping};
use crate::{
    app::App,
    config::Config,
    domains::moderation::AllowsAll,
    jobs::Registry,
    platform::{clock::Clock, postgres::migrate},
    server::{Routes, Running, Server, descriptors},
};

pub async fn run(config: &Config, wishes: &Runner) -> anyhow::Result<Verdict> {
    descriptors::raise();
    // First of all: a port that is taken should not cost a start.
    let listener = match wishes.port {
        Some(_) => Some(listen(config).await?),
        None => None,
    };
    let database = Database::open(config).await?;
    for name in migrate::up(&database.url).await? {
        tracing::info!(name, "applied a migration");
    }
    // It signs nobody in.
    let app = App::start(
        config,
        &[],
        &database.url,
        Clock::default(),
        Registry::default(),
        None,
        Arc::new(AllowsAll),
    )
    .await?;
    let running = listener
        .map(|listener| Server::start(app.server(config, Routes::Operators), listener))
        .transpose()?;
    say(format_args!("Loquent {} is ready for background work.", env!("CARGO_PKG_VERSION")));
    if let Some(Running { address, .. }) = &running {
        say(format_args!("  Health     http://{address}/health   (/livez, /readyz, /metrics)"));
    }
    stopping::wait_and_stop(config, app, running, &database).await
}

async fn listen(config: &Config) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::new(config.server.host, config.server.port);
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}
