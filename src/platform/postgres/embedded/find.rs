//! Finds PostgreSQL server programs. A directory counts when it has both `postgres` and `initdb` and its version is
//! new enough; directories are compared by their real path, because `PATH` is often full of links.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fmt,
    path::{Component, Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::process::Command;

/// Oldest PostgreSQL whose SQL the product uses.
pub(super) const MINIMUM_MAJOR: u32 = 15;

/// Where packages put versioned programs; `*` stands for any part of one name.
pub(super) const PLACES: &[&str] = &[
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/lib64/pgsql/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/opt/local/lib/postgresql*/bin",
    "/nix/var/nix/profiles/default/bin",
];

/// Longest time `postgres --version` may take.
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// How the programs came to be here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `LOQUENT_PG_BIN` names them.
    Given,
    /// Installed on the machine.
    Installed,
    /// Downloaded, now or by an earlier start.
    Downloaded,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Given => "LOQUENT_PG_BIN",
            Self::Installed => "installed",
            Self::Downloaded => "downloaded",
        })
    }
}

/// Version of PostgreSQL, for example `15.18` or `18beta1`. Only the major number decides about compatibility.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub major: u32,
    pub text: String,
}

impl Version {
    /// Reads the answer of `postgres --version`: `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
    fn parse(answer: &str) -> Option<Self> {
        let text = answer.split_once("(PostgreSQL)")?.1.split_whitespace().next()?;
        let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
        Some(Self { major: digits.parse().ok()?, text: text.to_owned() })
    }
}

/// A directory with usable server programs.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    pub(super) bin_dir: PathBuf,
    pub(super) version: Version,
    pub(super) origin: Origin,
}

impl Programs {
    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.bin_dir.join(program)
    }
}

/// Result of a search: what can be used, best first, and what cannot with the reason.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) usable: Vec<Programs>,
    pub(super) unusable: Vec<(PathBuf, String)>,
}

/// Searches `places` (the newest version first), then the directories of `search_path` (in its order).
pub(super) async fn installed(places: &[&str], search_path: Option<&OsStr>) -> Found {
    let mut found = Found::default();
    let mut seen = HashSet::new();
    for place in places {
        for dir in expand(place) {
            found.add(&dir, &mut seen).await;
        }
    }
    found.usable.sort_by_key(|programs| std::cmp::Reverse(programs.version.major));
    for dir in search_path.map(std::env::split_paths).into_iter().flatten() {
        found.add(&dir, &mut seen).await;
    }
    found
}

impl Found {
    async fn add(&mut self, dir: &Path, seen: &mut HashSet<PathBuf>) {
        let Some(dir) = real_dir(dir) else { return };
        if !seen.insert(dir.clone()) {
            return;
        }
        match inspect(&dir, Origin::Installed).await {
            Ok(programs) => self.usable.push(programs),
            Err(reason) => self.unusable.push((dir, reason)),
        }
    }
}

/// The directory that really holds the `postgres` of `dir`, if there is one.
fn real_dir(dir: &Path) -> Option<PathBuf> {
    dir.join("postgres").canonicalize().ok()?.parent().map(Path::to_owned)
}

/// Checks one directory; the error is the reason why it cannot be used.
pub(super) async fn inspect(dir: &Path, origin: Origin) -> Result<Programs, String> {
    let bin_dir = real_dir(dir).ok_or("there is no program postgres in it")?;
    if !bin_dir.join("initdb").is_file() {
        return Err("there is no program initdb in it".to_owned());
    }
    let version = version_of(&bin_dir.join("postgres")).await?;
    if version.major < MINIMUM_MAJOR {
        return Err(format!("{}, need {MINIMUM_MAJOR}", version.text));
    }
    Ok(Programs { bin_dir, version, origin })
}

async fn version_of(postgres: &Path) -> Result<Version, String> {
    let answer = Command::new(postgres).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    let output = match tokio::time::timeout(VERSION_LIMIT, answer).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("postgres --version: {error}")),
        Err(_) => return Err("postgres --version does not answer".to_owned()),
    };
    let answer = String::from_utf8_lossy(&output.stdout);
    Version::parse(&answer).ok_or_else(|| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        format!("postgres --version says {:?}", if answer.is_empty() { complaint } else { answer }.trim())
    })
}

/// The directories that fit a pattern; only names are matched, never several levels by one `*`.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::new()];
    for part in Path::new(pattern).components() {
        let star = match part {
            Component::Normal(name) => name.to_str().and_then(|name| name.split_once('*')),
            _ => None,
        };
        paths = match star {
            None => paths.into_iter().map(|path| path.join(part)).collect(),
            Some((prefix, suffix)) => paths.iter().flat_map(|path| children(path, prefix, suffix)).collect(),
        };
    }
    paths
}

fn children(dir: &Path, prefix: &str, suffix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let fits = |name: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.ends_with(suffix));
    entries.filter(|entry| entry.file_name().to_str().is_some_and(fits)).map(|entry| entry.path()).collect()
}

#[cfg(test)]
#[path = "find_tests.rs"]
mod tests;
