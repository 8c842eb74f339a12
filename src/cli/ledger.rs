//! `loquent ledger check`

use super::{Verdict, database::Database, say};
use crate::{config::Config, domains::credits};

pub async fn run(config: &Config) -> anyhow::Result<Verdict> {
    let database = Database::visit(config).await?;
    let result = check(&database).await;
    database.close().await;
    result
}

async fn check(database: &Database) -> anyhow::Result<Verdict> {
    let db = database.pool("ledger").await?;
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
