//! What the operating system says about the process, where it has `/proc`.

use std::fs;

use super::names;
use crate::platform::clock::Clock;

/// Set once, when counting begins.
pub(super) fn start() {
    names::BUILD_INFO.set([env!("CARGO_PKG_VERSION").into()], 1.0);
    names::START_TIME.set([], Clock::default().seconds());
}

/// Set before every reading.
pub(super) fn sample() {
    if let Some(bytes) = fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident_bytes) {
        names::RESIDENT_BYTES.set([], bytes);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        names::OPEN_FDS.set([], open.count() as f64);
    }
}

fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_status_of_the_process() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t   2048 kB\nThreads:\t1\n"), Some(2_097_152.0));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }
}
