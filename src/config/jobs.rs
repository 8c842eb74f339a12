//! `[jobs]`: the bounds of the runner of one process.

use super::reader::Reader;

/// `[jobs]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jobs {
    /// Jobs that run at a time, of each queue; 0 runs none here.
    pub concurrency: usize,
    /// Runs of one account in one queue, of all processes, beyond which other accounts go first.
    pub account_share: usize,
}

impl Jobs {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let mut section = reader.section(&["jobs"]);
        Self {
            concurrency: section.whole("concurrency", 8, 0..=256),
            account_share: section.whole("account_share", 4, 1..=256),
        }
    }
}
