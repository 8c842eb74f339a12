//! The files of one cluster, all named after its major version, side by side in the data directory:
//! `pg15` (the data), `pg15.lock` (who owns it), `pg15.log` and `pg15.run` (the directory of the socket).
//!
//! The lock, not the pid file of the server, is the truth about ownership: the kernel releases it with our process.

use std::{
    fs::{self, File, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::error::StartError;

/// Longest path of a socket directory: 103 bytes for the address, less the name of the socket in it.
const SOCKET_DIR_LIMIT: usize = 103 - "/.s.PGSQL.5432".len();

/// A log that has grown beyond this is set aside at the next start; one older log is kept.
const LOG_LIMIT: u64 = 10 * 1024 * 1024;

/// At most this much of the end of a log is shown.
const LOG_TAIL_BYTES: u64 = 16 * 1024;
const LOG_TAIL_LINES: usize = 20;

/// How long a lock that is held is asked for again.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Paths of one cluster.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) home: PathBuf,
    pub(super) data: PathBuf,
    pub(super) sockets: PathBuf,
    pub(super) log: PathBuf,
    lock: PathBuf,
}

impl Layout {
    /// `home` is absolute.
    pub(super) fn new(home: &Path, major: u32) -> Self {
        let beside = |suffix: &str| home.join(format!("pg{major}{suffix}"));
        let sockets = match beside(".run") {
            dir if dir.as_os_str().len() <= SOCKET_DIR_LIMIT => dir,
            dir => short_socket_dir(&dir),
        };
        Self { home: home.to_owned(), data: beside(""), sockets, log: beside(".log"), lock: beside(".lock") }
    }

    /// True when an `initdb` has finished here; it only gets this name by a rename at its end.
    pub(super) fn is_initialised(&self) -> bool {
        self.data.join("PG_VERSION").is_file()
    }

    /// Prefix of the names under which `initdb` works before the rename.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.data.with_extension("new-")
    }

    pub(super) fn pid_file(&self) -> PathBuf {
        self.data.join("postmaster.pid")
    }

    /// What the server wrote about itself, if it runs or did not end cleanly.
    pub(super) fn pid_record(&self) -> Option<PidRecord> {
        PidRecord::parse(&fs::read_to_string(self.pid_file()).ok()?)
    }

    /// Takes the exclusive lock of this cluster and leaves our pid in it for those who come second.
    ///
    /// A lock that is held is asked for again for a moment: a child that another thread is just starting has a copy of
    /// every open file until it becomes its program, and an owner that is ending is gone soon.
    pub(super) async fn acquire(&self) -> Result<OwnerLock, StartError> {
        let failed = || StartError::io(format!("lock {}", self.lock.display()));
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.lock)
            .map_err(failed())?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(25)).await;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StartError::InUse {
                        dir: self.data.clone(),
                        owner: owner_named_in(&mut file),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(failed()(error)),
            }
        }
        file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(failed())?;
        Ok(OwnerLock { _file: file })
    }

    /// Opens the log for the server to append to, and says where in it this run begins.
    pub(super) fn open_log(&self) -> Result<(File, u64), StartError> {
        let failed = || StartError::io(format!("write {}", self.log.display()));
        if fs::metadata(&self.log).is_ok_and(|status| status.len() > LOG_LIMIT) {
            fs::rename(&self.log, self.log.with_extension("log.old")).map_err(failed())?;
        }
        let file = File::options().create(true).append(true).open(&self.log).map_err(failed())?;
        let start = file.metadata().map_err(failed())?.len();
        Ok((file, start))
    }

    /// The last lines of the log that were written after position `start`.
    pub(super) fn log_tail(&self, start: u64) -> String {
        read_tail(&self.log, start).unwrap_or_else(|error| format!("(the log cannot be read: {error})"))
    }
}

fn read_tail(path: &Path, start: u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(start.max(end.saturating_sub(LOG_TAIL_BYTES))))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n"))
}

/// A socket's address is short, a path may be long. The name is the same at each start, so that a server left
/// behind is found again.
fn short_socket_dir(dir: &Path) -> PathBuf {
    let digest = Sha256::digest(dir.as_os_str().as_encoded_bytes());
    let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Path::new("/tmp").join(format!("loquent-{name}"))
}

/// Who wrote the lock; it may be empty for the instant between locking and writing.
fn owner_named_in(file: &mut File) -> String {
    let mut text = String::new();
    let is_read = file.take(20).read_to_string(&mut text).is_ok();
    match text.trim().parse::<u32>() {
        Ok(pid) if is_read => format!("process {pid}"),
        _ => "another process".to_owned(),
    }
}

/// Ownership of a cluster; dropping it, or dying, gives it up.
#[derive(Debug)]
pub(super) struct OwnerLock {
    _file: File,
}

/// The lines of `postmaster.pid` that matter here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PidRecord {
    pub(super) pid: i32,
    /// Line 8; the server writes it when it accepts connections.
    pub(super) is_ready: bool,
}

impl PidRecord {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        Some(Self { pid, is_ready: lines.nth(6).is_some_and(|line| line.trim() == "ready") })
    }
}

/// The highest major version that has data in `home`.
pub(super) fn newest_data(home: &Path) -> Option<u32> {
    let entries = fs::read_dir(home).ok()?;
    let majors = entries.flatten().filter_map(|entry| {
        let major = entry.file_name().to_str()?.strip_prefix("pg")?.parse().ok()?;
        Layout::new(home, major).is_initialised().then_some(major)
    });
    majors.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_ready_by_its_eighth_line_only() {
        let lines = ["4711", "/data", "1", "5432", "/run", "", "  5432001   32768"];
        let starting = lines.join("\n");
        assert_eq!(PidRecord::parse(&starting), Some(PidRecord { pid: 4711, is_ready: false }));
        let stopping = format!("{starting}\nstopping\n");
        assert_eq!(PidRecord::parse(&stopping), Some(PidRecord { pid: 4711, is_ready: false }));
        let ready = format!("{starting}\nready   \n");
        assert_eq!(PidRecord::parse(&ready), Some(PidRecord { pid: 4711, is_ready: true }));
        assert_eq!(PidRecord::parse(""), None);
    }

    #[test]
    fn a_socket_directory_is_never_too_long_and_always_the_same() {
        let short = Layout::new(Path::new("/var/lib/loquent"), 15);
        assert_eq!(short.sockets, Path::new("/var/lib/loquent/pg15.run"));
        let home = Path::new("/").join("long/".repeat(30));
        let long = Layout::new(&home, 15);
        assert!(long.sockets.as_os_str().len() <= SOCKET_DIR_LIMIT);
        assert_eq!(long.sockets, Layout::new(&home, 15).sockets);
        assert_ne!(long.sockets, Layout::new(&home, 16).sockets);
    }

    #[test]
    fn the_newest_finished_data_is_found() {
        let home = tempfile::tempdir().expect("scratch");
        for (name, is_finished) in [("pg9", true), ("pg15", true), ("pg16", false), ("pg15.run", true)] {
            fs::create_dir(home.path().join(name)).expect("scratch");
            if is_finished {
                fs::write(home.path().join(name).join("PG_VERSION"), "").expect("scratch");
            }
        }
        assert_eq!(newest_data(home.path()), Some(15));
        assert_eq!(newest_data(&home.path().join("missing")), None);
    }

    #[test]
    fn the_tail_of_a_log_is_short_and_of_this_run() {
        let home = tempfile::tempdir().expect("scratch");
        let layout = Layout::new(home.path(), 15);
        fs::write(&layout.log, "yesterday\n").expect("scratch");
        let (mut log, start) = layout.open_log().expect("the log opens");
        for line in 0..50 {
            writeln!(log, "line {line}").expect("the log is written");
        }
        let tail = layout.log_tail(start);
        assert_eq!(tail.lines().count(), LOG_TAIL_LINES);
        assert!(tail.starts_with("line 30\n") && tail.ends_with("line 49"), "{tail}");
        assert_eq!(layout.log_tail(start + 10_000), "");
    }
}
