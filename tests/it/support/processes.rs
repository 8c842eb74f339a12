//! Looking at processes and waiting for what they do.

use std::{path::Path, time::Duration};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Polls until `condition` holds; false when `limit` has passed. For what gives no event, such as the end of a process
/// that is not our child.
pub async fn eventually(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let mut polls = tokio::time::interval(Duration::from_millis(20));
    let poll = async {
        while !condition() {
            polls.tick().await;
        }
    };
    tokio::time::timeout(limit, poll).await.is_ok()
}

/// False when there is no such process, or only what is left of it until its parent asks.
pub fn is_alive(pid: i32) -> bool {
    let is_zombie = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
    };
    let exists = Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH));
    exists && !is_zombie()
}

/// SIGKILL.
pub fn kill(pid: i32) {
    let pid = Pid::from_raw(pid).expect("a pid");
    kill_process(pid, Signal::KILL).expect("the process is there");
}

/// The pid in the first line of a file.
pub fn pid_in(file: &Path) -> Option<i32> {
    std::fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok()
}
