//! Accounts as things that are watched.

use super::repo::revisions::WatchedAccounts;
use crate::platform::postgres::revisions::RevisionWatch;

/// The accounts that are watched in this process.
pub type AccountWatch = RevisionWatch<WatchedAccounts>;
