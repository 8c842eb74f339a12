//! Child processes that cannot outlive us by much, however we end. Each has a watchdog, a shell that waits on a
//! pipe whose other end only this process holds: a line dismisses it, the end of the pipe means that we died.
//!
//! The order closes every gap: the child first waits at a gate, its watchdog starts, and only then the gate opens.
//! Who dies before that takes the gate along. The parent-death signal of Linux would not do: it fires when the
//! *thread* that started the child ends.

use std::{io, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin, Command},
};

use super::{
    account::{Account, confine},
    error::StartError,
};

const GATE: &str = r#"read -r go && exec "$0" "$@" </dev/null"#;

/// Ends `initdb`, which cleans up after itself. $1 is its pid.
const WATCH_INITDB: &str = r#"read -r line || kill -s TERM "$1""#;

/// Shuts the server down as a clean stop would: $1 is its pid, $2 its pid file. Only the process that is named in the
/// file is signalled, so that a reused pid is safe; the file appears a moment after the start, hence the loop.
const WATCH_SERVER: &str = r#"
read -r line && exit
seconds=0
while kill -0 "$1" && [ "$seconds" -lt 30 ]; do
  owner=
  read -r owner < "$2"
  if [ "$owner" = "$1" ]; then
    if [ "$seconds" -lt 15 ]; then kill -s INT "$1"; else kill -s QUIT "$1"; fi
  fi
  sleep 1
  seconds=$((seconds + 1))
done
"#;

/// Longest wait for a shell that only has to end.
const DISMISS_LIMIT: Duration = Duration::from_secs(5);

/// What the watchdog does when we die.
pub(super) enum Watch<'a> {
    Initdb,
    Server { pid_file: &'a Path },
}

/// A running child with the watchdog on guard. Dropping it counts as our death.
#[derive(Debug)]
pub(super) struct Guarded {
    pub(super) child: Child,
    pub(super) pid: i32,
    watchdog: Watchdog,
}

/// A program to run as the user of the server.
pub(super) struct Launch<'a> {
    pub(super) program: &'a Path,
    pub(super) arguments: Vec<std::ffi::OsString>,
    /// Working directory; the user of the server must be able to enter it.
    pub(super) dir: &'a Path,
    pub(super) account: Option<&'a Account>,
    pub(super) stdout: Stdio,
    pub(super) stderr: Stdio,
}

impl Guarded {
    /// Starts the program under watch. A group of its own keeps the terminal's Ctrl-C for us: the database has to stop
    /// last.
    pub(super) async fn spawn(launch: Launch<'_>, watch: Watch<'_>) -> Result<Self, StartError> {
        let action = || StartError::io(format!("start {}", launch.program.display()));
        let mut command = shell(GATE, launch.dir);
        confine(&mut command, launch.account);
        command.arg(launch.program).args(&launch.arguments);
        let mut child = command.stdout(launch.stdout).stderr(launch.stderr).spawn().map_err(action())?;
        let gone = || io::Error::other("it ended at once");
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or_else(gone).map_err(action())?;
        let mut gate = child.stdin.take().ok_or_else(gone).map_err(action())?;
        let watchdog = Watchdog::spawn(pid, watch, launch.dir)?;
        gate.write_all(b"go\n").await.map_err(action())?;
        Ok(Self { child, pid, watchdog })
    }

    /// Sends the watchdog away; to be called when the child has ended and was waited for.
    pub(super) async fn dismiss(self) {
        self.watchdog.dismiss().await;
    }
}

#[derive(Debug)]
struct Watchdog {
    shell: Child,
    leash: Option<ChildStdin>,
}

impl Watchdog {
    /// It keeps our user, not the server's, who could not even see whether a process of root's is there.
    fn spawn(pid: i32, watch: Watch<'_>, dir: &Path) -> Result<Self, StartError> {
        let mut command = match watch {
            Watch::Initdb => shell(WATCH_INITDB, dir),
            Watch::Server { .. } => shell(WATCH_SERVER, dir),
        };
        command.arg("watchdog").arg(pid.to_string());
        if let Watch::Server { pid_file } = watch {
            command.arg(pid_file);
        }
        confine(&mut command, None);
        let mut shell = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(StartError::io("start /bin/sh"))?;
        let leash = shell.stdin.take();
        Ok(Self { shell, leash })
    }

    async fn dismiss(mut self) {
        if let Some(mut leash) = self.leash.take() {
            // It may have been killed, and then there is nobody to tell.
            let _ = leash.write_all(b"done\n").await;
        }
        let _ = tokio::time::timeout(DISMISS_LIMIT, self.shell.wait()).await;
    }
}

fn shell(script: &str, dir: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script).current_dir(dir).process_group(0).stdin(Stdio::piped());
    command
}
