//! `loquent cron list`

use super::{Verdict, database::Database, instant, printable, say};
use crate::{
    config::Config,
    jobs::cron::{self, LastTick, Listed},
};

const HEAD: [&str; 7] = ["NAME", "SCHEDULE", "ZONE", "MISSED", "LAST TICK", "NEXT TICK", "LAST RESULT"];

pub async fn run(config: &Config) -> anyhow::Result<Verdict> {
    let database = Database::visit(config).await?;
    let result = list(&database).await;
    database.close().await;
    result
}

async fn list(database: &Database) -> anyhow::Result<Verdict> {
    let db = database.pool("cron").await?;
    let entries = cron::list(&mut *db.conn().await?).await?;
    if entries.is_empty() {
        say("no entries yet: the first start of `loquent serve` writes them");
    } else {
        table(&entries).iter().for_each(say);
    }
    Ok(Verdict::Passed)
}

/// The lines, in columns as wide as they need. Times are in UTC.
fn table(entries: &[Listed]) -> Vec<String> {
    let rows: Vec<[String; 7]> =
        std::iter::once(HEAD.map(str::to_owned)).chain(entries.iter().map(row)).collect();
    let widths: Vec<usize> =
        (0..HEAD.len()).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn row(listed: &Listed) -> [String; 7] {
    let entry = &listed.entry;
    let next = if entry.is_enabled { instant(entry.next_tick_at).to_string() } else { "off".to_owned() };
    [
        printable(&entry.name),
        printable(&entry.schedule),
        printable(&entry.time_zone),
        entry.catch_up.clone(),
        listed.last.as_ref().map_or_else(|| "-".to_owned(), |last| instant(last.at).to_string()),
        next,
        listed.last.as_ref().map_or_else(|| "-".to_owned(), result),
    ]
}

/// State of the job; done jobs are removed after a while.
fn result(last: &LastTick) -> String {
    match &last.job {
        Some((state, Some(reason))) => format!("{state}: {}", printable(reason)),
        Some((state, None)) => state.clone(),
        None => "removed since".to_owned(),
    }
}
