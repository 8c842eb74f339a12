//! Settings: typed, validated, and the only reader of the environment. Defaults, then the file, then variables, then
//! flags; later ones win. Either all of it is right or [`Config::load`] names every fault at once. Nothing here
//! writes; a secret shows neither in `Debug` nor in a fault.

mod amounts;
mod auth;
mod database;
pub(crate) mod document;
#[cfg(test)]
mod example;
mod faults;
mod graphql;
mod jobs;
mod layers;
mod limits;
mod models;
mod peers;
mod reader;
mod secrets;
mod server;
mod sources;

use std::collections::BTreeMap;

pub use self::{
    auth::{Auth, SigningKey, dev_signing_key},
    database::Database,
    faults::{ConfigFaults, Fault},
    graphql::{Graphql, Introspection},
    jobs::Jobs,
    limits::{Limits, Streams},
    models::{ECHO, Provider, ProviderKind},
    server::{Log, Server},
    sources::{ConfigFile, Directories, Flags, Purpose, Sources},
};
use self::{layers::merge, reader::Reader};

/// For keys that resemble nothing.
const ADVICE: &str = "loquent.example.toml names every key";

/// Everything an operator can decide. Names equal the keys of the file unless a field says otherwise.
#[derive(Debug, Clone)]
pub struct Config {
    /// `--dev`: weak or no secrets are fine, and only this machine can connect.
    pub is_dev: bool,
    pub server: Server,
    pub database: Database,
    pub auth: Auth,
    pub streams: Streams,
    pub jobs: Jobs,
    pub limits: Limits,
    pub graphql: Graphql,
    /// Key of the model used when a client names none; the built-in echo stands in while the catalogue lacks it.
    pub default_model: String,
    /// By our key; the built-in `echo` is not among them.
    pub providers: BTreeMap<String, Provider>,
    pub log: Log,
}

impl Config {
    /// Lays the sources over the defaults and checks the result.
    ///
    /// # Errors
    /// Every setting that is wrong, missing or unknown.
    pub fn load(sources: Sources) -> Result<Self, ConfigFaults> {
        let mut reader = Reader::new(merge(&sources)?, sources.env, ADVICE);
        let config = Self::read(&mut reader, &sources.flags, sources.directories.as_ref());
        reader.finish()?;
        Ok(config)
    }

    fn read(reader: &mut Reader, flags: &Flags, directories: Option<&Directories>) -> Self {
        let is_dev = flags.is_dev;
        Self {
            is_dev,
            server: Server::read(reader, is_dev),
            database: Database::read(reader, directories, flags.purpose),
            auth: Auth::read(reader, is_dev, flags.purpose),
            streams: Streams::read(reader),
            jobs: Jobs::read(reader),
            limits: Limits::read(reader),
            graphql: Graphql::read(reader, is_dev),
            default_model: models::read_default_model(reader),
            providers: models::read_providers(reader, is_dev),
            log: Log::read(reader, is_dev),
        }
    }
}
