//! Months to come.

use std::time::Duration;

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};

use crate::{
    error::Result,
    jobs::{Failure, Job, Run},
    platform::postgres::partitions,
};

/// Makes the partitions of the next months. Every start of a process does so too.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct MakePartitions;

impl Job for MakePartitions {
    const NAME: &'static str = "upkeep.make_partitions";
    const PRIORITY: i16 = 50;
    const LIMIT: Duration = Duration::from_secs(60);
    type Context = ();

    async fn run(self, (): (), run: Run) -> Result<(), Failure> {
        run.complete(|conn| async move { Ok(partitions::ensure(conn).await?) }.boxed()).await
    }
}
