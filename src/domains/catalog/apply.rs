//! Takes a catalogue over: one transaction under a lock, so that every process sees all of it or nothing.

use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::Value;
use uuid::Uuid;

use super::{
    book,
    content::{CatalogContent, ModelContent},
    diff::{Change, diff},
    echo,
    file::Source,
    model::{CatalogRow, ModelRow, PlanRow},
    repo,
};
use crate::{
    error::{AppError, Result},
    platform::{
        clock::Clock,
        ids::new_uuid,
        postgres::{
            Db,
            epochs::{self, Scope},
            lock_in_tx,
        },
    },
};

/// Name of the lock under which catalogues are applied.
const LOCK: &str = "catalog";

/// What became of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Version in force afterwards; 0 when there is none yet.
    pub version: i32,
    /// How it differs from what was in force; empty when it says the same.
    pub changes: Vec<Change>,
}

/// Whether to write what was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Apply,
    /// Only compares.
    DryRun,
}

/// Takes a catalogue over; every process has it within two seconds. The same again writes nothing and makes no version.
pub async fn apply(
    db: &Db,
    clock: &Clock,
    source: &Source,
    content: &CatalogContent,
    mode: Mode,
) -> Result<Applied> {
    let mut conn = db.conn().await?;
    conn.transaction(async |conn| {
        lock_in_tx(conn, LOCK).await?;
        let old = repo::find_newest(conn).await?;
        let known = old.as_ref().map(CatalogRow::content).transpose()?;
        let changes = diff(known.as_ref(), content);
        let version = old.map_or(0, |old| old.version);
        if mode == Mode::DryRun || (changes.is_empty() && version > 0) {
            return Ok(Applied { version, changes });
        }
        let version = version + 1;
        store(conn, clock, version, source, content).await?;
        Ok::<_, AppError>(Applied { version, changes })
    })
    .await
}

/// Takes this catalogue over if there never was one.
pub(super) async fn ensure(db: &Db, clock: &Clock, source: &Source, content: &CatalogContent) -> Result<()> {
    let mut conn = db.conn().await?;
    if repo::find_newest(&mut conn).await?.is_some() {
        return Ok(());
    }
    conn.transaction(async |conn| {
        lock_in_tx(conn, LOCK).await?;
        if repo::find_newest(conn).await?.is_none() {
            store(conn, clock, 1, source, content).await?;
        }
        Ok(())
    })
    .await
}

async fn store(
    conn: &mut AsyncPgConnection,
    clock: &Clock,
    version: i32,
    source: &Source,
    content: &CatalogContent,
) -> Result<()> {
    let row = CatalogRow {
        version,
        source: source.name.clone(),
        document: source.text.clone(),
        content: json(content)?,
    };
    repo::insert_catalog(conn, &row).await?;
    store_plans(conn, clock, content).await?;
    store_models(conn, clock, content).await?;
    epochs::raise_in_tx(conn, Scope::Catalog).await?;
    Ok(())
}

/// A plan that says the same keeps its row; another one is a new version beside it.
async fn store_plans(conn: &mut AsyncPgConnection, clock: &Clock, content: &CatalogContent) -> Result<()> {
    let stored = repo::list_plans(conn).await?;
    repo::withdraw_plans(conn).await?;
    for (position, (key, plan)) in (0..).zip(&content.plans) {
        let said = json(plan)?;
        let newest = stored.iter().filter(|row| row.key == *key).max_by_key(|row| row.version);
        let (id, version) = match newest {
            Some(row) if row.content == said => (row.id, row.version),
            Some(row) => (new_uuid(clock), row.version + 1),
            None => (new_uuid(clock), 1),
        };
        let is_default = *key == content.default_plan;
        let row =
            PlanRow { id, key: key.clone(), version, is_offered: true, is_default, position, content: said };
        repo::offer_plan(conn, &row).await?;
    }
    Ok(())
}

async fn store_models(conn: &mut AsyncPgConnection, clock: &Clock, content: &CatalogContent) -> Result<()> {
    let now = repo::read_now(conn).await?;
    let built_in = echo();
    let all: Vec<(&str, &ModelContent)> = std::iter::once((built_in.0, &built_in.1))
        .chain(content.models.iter().map(|(key, model)| (key.as_str(), model)))
        .collect();
    for (key, model) in &all {
        let id = repo::upsert_model(conn, &model_row(clock, key, model)?).await?;
        store_prices(conn, clock, id, model, now).await?;
    }
    let keys: Vec<&str> = all.iter().map(|(key, _)| *key).collect();
    Ok(repo::disable_other_models(conn, &keys).await?)
}

async fn store_prices(
    conn: &mut AsyncPgConnection,
    clock: &Clock,
    model_id: Uuid,
    model: &ModelContent,
    now: DateTime<Utc>,
) -> Result<()> {
    let stored = repo::list_open_prices(conn, model_id, now).await?;
    let plan = book::rewrite(model_id, &stored, &model.prices, now, || new_uuid(clock));
    // In this order there is never a second price without an end.
    for id in plan.deleted {
        repo::delete_price(conn, id).await?;
    }
    for (id, end) in plan.ended {
        repo::end_price(conn, id, end).await?;
    }
    Ok(repo::insert_prices(conn, &plan.added).await?)
}

fn model_row(clock: &Clock, key: &str, model: &ModelContent) -> Result<ModelRow> {
    Ok(ModelRow {
        id: new_uuid(clock),
        key: key.to_owned(),
        name: model.name.clone(),
        aliases: json(&model.aliases)?,
        provider: model.provider.clone(),
        upstream_name: model.upstream.clone(),
        context_tokens: i32::try_from(model.context_tokens).unwrap_or(i32::MAX),
        max_output_tokens: i32::try_from(model.max_output_tokens).unwrap_or(i32::MAX),
        is_enabled: true,
    })
}

fn json(value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(AppError::internal)
}
