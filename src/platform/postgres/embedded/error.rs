//! Why the embedded PostgreSQL could not be started, in words that say what to do.

use std::{fmt, io, path::PathBuf};

use super::find::MINIMUM_MAJOR;

/// A failed start. Every message names the place and the setting that changes it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no PostgreSQL on this machine and none could be fetched.
    #[error("{0}")]
    NothingFound(Box<NothingFound>),

    /// `LOQUENT_PG_BIN` names a directory that cannot be used.
    #[error("LOQUENT_PG_BIN={}: {reason}", dir.display())]
    InvalidBinDir { dir: PathBuf, reason: String },

    /// The data was written by another major version than the programs at hand.
    #[error(
        "{} holds data of PostgreSQL {data_major}, but the programs at hand are {available}.\n\
         Install PostgreSQL {data_major}, or set LOQUENT_PG_BIN to the directory of its programs, \
         or choose another LOQUENT_DATA_DIR.",
        dir.display()
    )]
    WrongVersion { dir: PathBuf, data_major: u32, available: String },

    /// Another process of ours runs on the same data.
    #[error(
        "the database in {} is already in use by {owner}.\n\
         Stop it, or set DATABASE_URL or LOQUENT_DATA_DIR for this one.",
        dir.display()
    )]
    InUse { dir: PathBuf, owner: String },

    /// A PostgreSQL that we did not start runs on our data.
    #[error(
        "a PostgreSQL server (process {pid}) that nobody here owns is running on {}.\n\
         Stop it, or set DATABASE_URL to use it, or choose another LOQUENT_DATA_DIR.",
        dir.display()
    )]
    ForeignServer { dir: PathBuf, pid: i32 },

    /// The unprivileged user that runs PostgreSQL may not enter a directory on the way.
    #[error(
        "PostgreSQL refuses to run as root and runs as user {user}, who may not enter {} on the way to {}.\n\
         Set LOQUENT_DATA_DIR to a directory that everyone may enter, for example /var/lib/loquent, \
         or allow it with chmod o+x {}.",
        blocked.display(), path.display(), blocked.display()
    )]
    Unreachable { user: String, blocked: PathBuf, path: PathBuf },

    /// The user id of this process has no name, which `initdb` insists on.
    #[error(
        "initdb needs a named user, and user id {uid} has no entry in /etc/passwd.\n\
         Run as a named user, or set DATABASE_URL."
    )]
    NamelessUser { uid: u32 },

    /// Run as root on a system without an unprivileged user to switch to.
    #[error(
        "PostgreSQL refuses to run as root, and neither user postgres nor user nobody is in /etc/passwd.\n\
         Run as another user, or set DATABASE_URL."
    )]
    NoUnprivilegedUser,

    /// A directory that only we may write is somebody else's.
    #[error("{} belongs to another user: remove it, or choose a shorter LOQUENT_DATA_DIR", dir.display())]
    NotOurs { dir: PathBuf },

    /// `initdb` failed; `output` is what it said.
    #[error("initdb failed on {}:\n{output}", dir.display())]
    Initdb { dir: PathBuf, output: String },

    /// The server ended, or did not become ready in time; `log` has its last lines.
    #[error("PostgreSQL {reason}. The last lines of {}:\n{log}", log_file.display())]
    NotReady { reason: String, log_file: PathBuf, log: String },

    /// The operating system refused a step.
    #[error("cannot {action}: {source}")]
    Io { action: String, source: io::Error },
}

impl StartError {
    /// Maps the error of a step; `action` completes "cannot ...".
    pub(super) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}

/// What was looked for, and why none of it will do.
#[derive(Debug)]
pub struct NothingFound {
    /// Directories searched before `PATH`, as patterns.
    pub(super) places: Vec<String>,
    /// Directories that have the programs, with the reason why they cannot be used.
    pub(super) unusable: Vec<(PathBuf, String)>,
    /// Outcome of the download, for example `failed (connection refused)`.
    pub(super) download: String,
}

const ADVICE: &str = "
Choose one:
  * Debian/Ubuntu   sudo apt-get install postgresql      (no configuration needed)
  * macOS           brew install postgresql@17
  * Docker          docker run -d -p 5432:5432 -e POSTGRES_PASSWORD=dev postgres:17
                    export DATABASE_URL=postgres://postgres:dev@localhost:5432/postgres
  * other           export DATABASE_URL=postgres://user:password@host:5432/dbname";

impl fmt::Display for NothingFound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "no database available\n")?;
        writeln!(
            out,
            "DATABASE_URL is not set and no PostgreSQL server programs (version {MINIMUM_MAJOR} or newer) were found."
        )?;
        writeln!(out, "  looked for postgres + initdb in: $LOQUENT_PG_BIN (unset),")?;
        for places in self.places.chunks(3) {
            writeln!(out, "    {},", places.join(", "))?;
        }
        writeln!(out, "    PATH")?;
        for (dir, reason) in &self.unusable {
            writeln!(out, "  found but unusable: {} ({reason})", dir.display())?;
        }
        writeln!(out, "  automatic download: {}", self.download)?;
        write!(out, "{ADVICE}")
    }
}
