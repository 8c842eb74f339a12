//! `loquent serve [--dev]`

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::net::TcpListener;

use super::{Verdict, banner::Banner, database::Database, demo, say, stopping};
use crate::{
    app::App,
    config::{self, Config},
    domains::moderation::AllowsAll,
    graphql::graphiql,
    jobs::Registry,
    platform::{clock::Clock, postgres::migrate},
    server::{Routes, Server, descriptors},
};

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
    let app = App::start(
        config,
        &keys,
        &database.url,
        Clock::default(),
        Registry::default(),
        None,
        Arc::new(AllowsAll),
    )
    .await?;
    let demo = match config.is_dev {
        true => demo::find_or_create(&app.accounts, &config.database.data_dir).await?,
        false => None,
    };
    let graphiql = config.is_dev.then(|| graphiql::Settings { demo: demo.clone() });
    let running = Server::start(app.server(config, Routes::All { graphiql }), listener)?;
    let banner = Banner {
        address: running.address,
        is_dev: config.is_dev,
        cluster: database.cluster.as_ref(),
        demo: demo.as_ref(),
    };
    say(banner);
    stopping::wait_and_stop(config, app, Some(running), database).await
}

fn signing_keys(config: &Config) -> anyhow::Result<Vec<config::SigningKey>> {
    if !config.auth.signing_keys.is_empty() {
        return Ok(config.auth.signing_keys.clone());
    }
    let dir = &config.database.data_dir;
    let key = config::dev_signing_key(dir).with_context(|| format!("no signing key in {}", dir.display()))?;
    Ok(vec![key])
}
