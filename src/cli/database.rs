//! The database of a command: the server that is configured, or the bundled one for as long as the command runs.

use std::time::Duration;

use anyhow::{Context, bail};
use secrecy::ExposeSecret;

use crate::{
    config::Config,
    platform::postgres::{
        Db,
        embedded::{self, Bundled, Cluster, Options, Profile},
        migrate,
        pool::PoolSettings,
    },
};

/// Name of the database in the bundled server.
pub(super) const NAME: &str = "loquent";

/// A database that answers.
pub struct Database {
    pub url: String,
    /// The bundled server, when it is in use.
    pub cluster: Option<Cluster>,
}

impl Database {
    /// Takes `DATABASE_URL`, or starts the bundled server.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        if let Some(url) = &config.database.url {
            return Ok(Self { url: url.expose_secret().to_owned(), cluster: None });
        }
        let cluster = embedded::start(&options(config)).await?;
        cluster.ensure_database(NAME).await?;
        Ok(Self { url: cluster.url(NAME), cluster: Some(cluster) })
    }

    /// For commands that look at what is there, or change a little of it: takes `DATABASE_URL`, joins the bundled server if
    /// one runs, or starts it over data that is there.
    pub async fn visit(config: &Config) -> anyhow::Result<Self> {
        if config.database.url.is_some() {
            return Self::open(config).await;
        }
        match embedded::look(&options(config)).await {
            Bundled::Stopped { .. } => Self::open(config).await,
            Bundled::Empty { .. } => bail!(
                "there is no database in {} yet; `loquent serve --dev` makes one, and DATABASE_URL names another",
                config.database.data_dir.display()
            ),
            running @ Bundled::Running { .. } => {
                let url = running.running_url(NAME).context("the bundled server has no address")?;
                Ok(Self { url, cluster: None })
            }
        }
    }

    /// A pool of one connection, once it is sure that the database has the shape of this version.
    pub async fn pool(&self, name: &'static str) -> anyhow::Result<Db> {
        let db = Db::try_new(&self.url, PoolSettings { name, size: 1, wait: Duration::from_secs(10) })?;
        if !migrate::compare(&mut *db.conn().await?).await?.pending.is_empty() {
            bail!("the database lacks migrations; run `loquent migrate up` first");
        }
        Ok(db)
    }

    /// Stops the bundled server if this command started it.
    pub async fn close(self) {
        if let Some(cluster) = self.cluster {
            cluster.stop().await;
        }
    }
}

/// How the bundled server is run.
pub(super) fn options(config: &Config) -> Options {
    Options {
        bin_dir: config.database.pg_bin.clone(),
        search_path: config.database.search_path.clone().map(Into::into),
        data_dir: config.database.data_dir.clone(),
        cache_dir: config.database.cache_dir.clone(),
        is_download_allowed: config.database.is_download_allowed,
        registry: config.database.npm_registry.clone(),
        profile: Profile::Durable,
    }
}
