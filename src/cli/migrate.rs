//! `loquent migrate up|status`

use super::{Verdict, args::Migrate, database::Database, say};
use crate::{config::Config, platform::postgres::migrate};

pub async fn run(config: &Config, action: Migrate) -> anyhow::Result<Verdict> {
    let database = Database::open(config).await?;
    let result = match action {
        Migrate::Up => up(&database.url).await,
        Migrate::Status => status(&database.url).await,
    };
    database.close().await;
    result
}

async fn up(url: &str) -> anyhow::Result<Verdict> {
    let applied = migrate::up(url).await?;
    for name in &applied {
        say(format_args!("applied  {name}"));
    }
    say(format_args!("migrate up ok: {} applied", applied.len()));
    Ok(Verdict::Passed)
}

async fn status(url: &str) -> anyhow::Result<Verdict> {
    let status = migrate::status(url).await?;
    for name in &status.applied {
        say(format_args!("applied  {name}"));
    }
    for name in &status.pending {
        say(format_args!("pending  {name}"));
    }
    Ok(if status.pending.is_empty() { Verdict::Passed } else { Verdict::NotPassed })
}
