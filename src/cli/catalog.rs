//! `loquent catalog`

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::{
    Verdict,
    args::{Catalog as Action, Offer},
    counted,
    database::Database,
    hint, instant, printable, say,
};
use crate::{
    config::Config,
    domains::catalog::{self, CatalogContent, Mode, Source},
    platform::clock::Clock,
};

/// Far above any real file; a device or a log given by mistake is refused instead of read into memory.
const MAX_FILE_BYTES: u64 = 1 << 20;

pub async fn run(config: &Config, action: Action) -> anyhow::Result<Verdict> {
    match action {
        Action::Apply { offer, is_dry_run } => {
            let source = source(&offer)?;
            let content = catalog::read(&source.name, &source.text)?;
            let mode = if is_dry_run { Mode::DryRun } else { Mode::Apply };
            let database = Database::visit(config).await?;
            let result = apply(config, &database, &source, &content, mode).await;
            database.close().await;
            result?;
        }
        Action::Show { preset: Some(preset) } => say(preset.text().trim_end()),
        Action::Show { preset: None } => look(config, async |database| show(database).await).await?,
        Action::History { limit } => look(config, async |database| history(database, limit).await).await?,
    }
    Ok(Verdict::Passed)
}

async fn look(
    config: &Config,
    work: impl AsyncFnOnce(&Database) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let database = Database::visit(config).await?;
    let result = work(&database).await;
    database.close().await;
    result
}

fn source(offer: &Offer) -> anyhow::Result<Source> {
    match (&offer.file, offer.preset) {
        (Some(path), _) => read_file(path),
        (None, Some(preset)) => Ok(Source::of_preset(preset)),
        (None, None) => bail!("name a file, or a preset with --preset"),
    }
}

fn read_file(path: &PathBuf) -> anyhow::Result<Source> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text));
    read.with_context(|| format!("cannot read {}", path.display()))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        bail!("{} is larger than 1 MiB", path.display());
    }
    let name = path.file_name().map_or_else(|| Path::new("catalogue"), Path::new);
    Ok(Source { name: name.display().to_string(), text })
}

async fn apply(
    config: &Config,
    database: &Database,
    source: &Source,
    content: &CatalogContent,
    mode: Mode,
) -> anyhow::Result<()> {
    let db = database.pool("catalog").await?;
    let applied = catalog::apply(&db, &Clock::default(), source, content, mode).await?;
    applied.changes.iter().for_each(say);
    if mode == Mode::Apply && !applied.changes.is_empty() {
        hint(config, &db).await;
    }
    let version = applied.version;
    match (applied.changes.len(), mode) {
        (0, _) => say(format_args!("nothing changes; version {version} stays in force")),
        (count, Mode::DryRun) => say(format_args!("{}; nothing was written", counted(count, "change"))),
        (count, Mode::Apply) => say(format_args!(
            "{}; version {version} is in force, and every process has it within two seconds",
            counted(count, "change")
        )),
    }
    let missing = content.unserved(|provider| config.providers.contains_key(provider));
    if !missing.is_empty() {
        say(format_args!(
            "note: by this configuration these models are not shown and cannot be called, because their providers are \
             not in [providers]: {}",
            missing.join(", ")
        ));
    }
    Ok(())
}

/// Writes what can be applied again.
async fn show(database: &Database) -> anyhow::Result<()> {
    let db = database.pool("catalog").await?;
    match catalog::find_newest(&mut *db.conn().await?).await? {
        Some(row) => say(row.document.trim_end()),
        None => bail!("no catalogue was ever applied; the first `loquent serve` applies the preset default"),
    }
    Ok(())
}

async fn history(database: &Database, limit: u16) -> anyhow::Result<()> {
    let db = database.pool("catalog").await?;
    for version in catalog::list_versions(&mut *db.conn().await?, i64::from(limit)).await? {
        let at = instant(version.applied_at);
        say(format_args!("{:>6}  {at}  {}", version.version, printable(&version.source)));
    }
    Ok(())
}
