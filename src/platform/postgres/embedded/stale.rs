//! What a dead owner leaves: a server that is still shutting down, or a pid file whose process is gone. The rules need
//! our lock: without it the server might belong to somebody who is alive.

use std::{fs, io, os::unix::net::UnixStream, path::Path, process::Stdio, time::Duration};

use rustix::process::{Pid, test_kill_process};
use tokio::{process::Command, time::Instant};

use super::{error::StartError, layout::Layout};

/// Longest wait for the server of a dead owner, which its watchdog is stopping.
const ORPHAN_LIMIT: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(20);

/// Returns when a server can be started on this data.
///
/// PostgreSQL takes over a pid file whose process is gone by itself. It does not when the pid belongs to something else
/// by now, typical for a container with a kept volume, or to a zombie; then, and only then, the file is removed.
pub(super) async fn settle(layout: &Layout) -> Result<(), StartError> {
    let deadline = Instant::now() + ORPHAN_LIMIT;
    while let Some(record) = layout.pid_record() {
        match look_at(record.pid).await {
            Process::Gone => return Ok(()),
            Process::Other if !answers(&layout.sockets) => return remove(&layout.pid_file()),
            Process::Other | Process::Server if Instant::now() >= deadline => {
                return Err(StartError::ForeignServer { dir: layout.data.clone(), pid: record.pid });
            }
            Process::Other | Process::Server => tokio::time::sleep(POLL).await,
        }
    }
    Ok(())
}

fn remove(pid_file: &Path) -> Result<(), StartError> {
    tracing::warn!(file = %pid_file.display(), "removing the pid file of a server that is gone");
    match fs::remove_file(pid_file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StartError::io(format!("remove {}", pid_file.display()))(error))
        }
        _ => Ok(()),
    }
}

pub(super) fn answers(sockets: &Path) -> bool {
    UnixStream::connect(sockets.join(".s.PGSQL.5432")).is_ok()
}

#[derive(Debug, PartialEq, Eq)]
enum Process {
    Gone,
    /// PostgreSQL, or something that cannot be told apart from it.
    Server,
    /// Certainly not a running PostgreSQL.
    Other,
}

async fn look_at(pid: i32) -> Process {
    // A negative number would stand for a group of processes.
    let Some(id) = Some(pid).filter(|&pid| pid > 0).and_then(Pid::from_raw) else { return Process::Other };
    if test_kill_process(id) == Err(rustix::io::Errno::SRCH) {
        return Process::Gone;
    }
    match describe(pid).await {
        None => Process::Server,
        Some(('Z', _)) => Process::Other,
        Some((_, name)) if name.contains("postgres") || name.contains("postmaster") => Process::Server,
        Some(_) => Process::Other,
    }
}

/// State letter and command name of a process.
async fn describe(pid: i32) -> Option<(char, String)> {
    if let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) {
        return parse_stat(&stat);
    }
    let mut command = Command::new("ps");
    command.args(["-o", "state=,comm=", "-p", &pid.to_string()]).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(5), command.output()).await.ok()?.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (state, name) = text.trim().split_once(char::is_whitespace)?;
    Some((state.chars().next()?, name.trim().to_owned()))
}

/// `4711 (postgres) S ...`; the name may contain parentheses and spaces itself.
fn parse_stat(stat: &str) -> Option<(char, String)> {
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    Some((after.trim_start().chars().next()?, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_may_be_odd() {
        assert_eq!(parse_stat("12 (postgres) S 1 12"), Some(('S', "postgres".to_owned())));
        assert_eq!(parse_stat("12 (a) b (c)) Z 1"), Some(('Z', "a) b (c)".to_owned())));
        assert_eq!(parse_stat(""), None);
    }

    #[tokio::test]
    async fn only_a_running_postgres_counts_as_a_server() {
        let me = i32::try_from(std::process::id()).expect("a pid");
        assert_eq!(look_at(me).await, Process::Other);
        assert_eq!(look_at(-1).await, Process::Other);
        assert_eq!(look_at(i32::MAX).await, Process::Gone);
    }
}
