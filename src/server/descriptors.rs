//! File descriptors: every connection needs one, and a process that has none left can do nothing at all.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process have as many descriptors as the system permits; the usual soft limit of 1,024 is for programs
/// older than ours. Best effort: with fewer it serves fewer connections.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "the limit of file descriptors stays as it is");
    }
}

/// As many connections as wished, but at most three quarters of the descriptors: the rest is for the database, the
/// providers and files.
pub(super) fn fitting(wished: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    limit.map_or(wished, |limit| wished.min(limit / 4 * 3).max(1))
}
