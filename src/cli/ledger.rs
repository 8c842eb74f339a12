//! `loquent ledger check`

use std::time::Duration;

use anyhow::bail;

use super::{Verdict, database::Database, say};
use crate::{
    config::Config,
    domains::credits,
    platform::postgres::{Db, migrate, pool::PoolSettings},
};

pub async fn run(config: &Config) -> anyhow::Result<Verdict> {
    let database = Database::open(config).await?;
    let result = check(&database.url).await;
    database.close().await;
    result
}

async fn check(url: &str) -> anyhow::Result<Verdict> {
    if !migrate::status(url).await?.pending.is_empty() {
        bail!(
            "the database lacks migrations, so there are no books to check; run `loquent migrate up` first"
        );
    }
    let db = Db::try_new(url, PoolSettings { name: "ledger", size: 1, wait: Duration::from_secs(10) })?;
    let (checked, differences) = credits::check(&db).await?;
    for difference in &differences {
        say(format_args!("{}  {}", difference.problem, difference.subject));
    }
    let verdict = if differences.is_empty() { "ok" } else { "FAILED" };
    say(format_args!(
        "ledger check {verdict}: wallets n={} entries n={} holds n={} open n={} differences n={}",
        checked.wallets,
        checked.entries,
        checked.holds,
        checked.open_holds,
        differences.len()
    ));
    Ok(if differences.is_empty() { Verdict::Passed } else { Verdict::NotPassed })
}
