//! The books, checked every hour.

use std::time::Duration;

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};

use crate::{
    domains::credits,
    error::Result,
    jobs::{Failure, Job, Run},
    platform::postgres::Db,
};

/// Differences that are written to the log; the rest is counted.
const SHOWN: usize = 10;

/// Compares the books, says in the log what differs, and notes the result.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct CheckBooks;

impl Job for CheckBooks {
    const NAME: &'static str = "upkeep.check_books";
    const MAX_ATTEMPTS: i16 = 3;
    const LIMIT: Duration = Duration::from_secs(900);
    type Context = Db;

    async fn run(self, background: Db, run: Run) -> Result<(), Failure> {
        let (checked, differences) = credits::check(&background).await?;
        for difference in differences.iter().take(SHOWN) {
            tracing::error!(problem = difference.problem, subject = %difference.subject, "the books differ");
        }
        let count = differences.len();
        if count > 0 {
            let wallets = checked.wallets;
            tracing::error!(count, wallets, "the books are not in order; `loquent ledger check` lists all");
        }
        run.complete(move |conn| async move { credits::note_check(conn, count).await }.boxed()).await
    }
}
