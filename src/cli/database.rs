//! The database of a command: the server that is configured, or the bundled one for as long as the command runs.

use secrecy::ExposeSecret;

use crate::{
    config::Config,
    platform::postgres::embedded::{self, Cluster, Options, Profile},
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

    /// Stops the bundled server.
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
