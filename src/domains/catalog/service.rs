//! Loads what the operator describes and answers from memory.

use std::{collections::HashMap, sync::Arc};

use diesel_async::{AsyncConnection, AsyncPgConnection};
use uuid::Uuid;

use super::{
    model::{Model, ModelDefinition, ModelRow, PlanDefinition, PlanRow, PriceRow, PriceUnit, Prices},
    repo,
};
use crate::{
    domains::settings::Settings,
    error::{AppError, Result},
    platform::{clock::Clock, ids::new_uuid, postgres::Db},
};

/// The catalogue as of the start of the process, but for the default model, which is a setting; clones share it.
#[derive(Clone)]
pub struct Catalog {
    content: Arc<Content>,
    settings: Settings,
}

struct Content {
    plan: PlanRow,
    models: Vec<Arc<Model>>,
}

impl Catalog {
    /// Stores the definitions and reads the catalogue back. Repeating it, also from several processes at once, changes
    /// nothing; a changed price ends the old row of the price book and begins a new one.
    pub async fn start(
        db: &Db,
        clock: &Clock,
        plan: &PlanDefinition,
        models: &[ModelDefinition],
        settings: Settings,
    ) -> Result<Self> {
        let mut conn = db.conn().await?;
        conn.transaction(async |conn| {
            crate::platform::postgres::lock_in_tx(conn, "catalog").await?;
            store_plan(conn, clock, plan).await?;
            store_models(conn, clock, models).await
        })
        .await?;
        let plan = repo::find_default_plan(&mut conn).await?;
        let plan = plan.ok_or_else(|| AppError::internal(anyhow::anyhow!("no default plan")))?;
        let rows = repo::list_models(&mut conn).await?;
        let prices = repo::list_prices(&mut conn).await?;
        let models = with_prices(rows, &prices);
        Ok(Self { content: Arc::new(Content { plan, models }), settings })
    }

    /// Plan of every account, until plans can be chosen.
    pub fn default_plan(&self) -> &PlanRow {
        &self.content.plan
    }

    /// All models that can be called, by key.
    pub fn models(&self) -> &[Arc<Model>] {
        &self.content.models
    }

    pub fn find_model(&self, key: &str) -> Option<Arc<Model>> {
        self.content.models.iter().find(|model| model.key == key).cloned()
    }

    /// Model of those who name none, which an operator may change at any time.
    pub fn default_model(&self) -> String {
        self.settings.current().default_model
    }
}

/// A model that lacks a price is left out: no price, no call.
fn with_prices(rows: Vec<ModelRow>, prices: &[PriceRow]) -> Vec<Arc<Model>> {
    let prices: HashMap<(Uuid, &str), i64> =
        prices.iter().map(|price| ((price.model_id, price.unit.as_str()), price.credits)).collect();
    let find = |id, unit: PriceUnit| prices.get(&(id, unit.as_str())).copied();
    rows.into_iter()
        .filter_map(|row| {
            let prices = Prices {
                input: find(row.id, PriceUnit::InputToken)?,
                cached_input: find(row.id, PriceUnit::CachedInputToken)?,
                output: find(row.id, PriceUnit::OutputToken)?,
            };
            Some(Arc::new(Model {
                id: row.id,
                key: row.key,
                name: row.name,
                provider: row.provider,
                upstream_name: row.upstream_name,
                context_tokens: u32::try_from(row.context_tokens).unwrap_or_default(),
                max_output_tokens: u32::try_from(row.max_output_tokens).unwrap_or_default(),
                prices,
            }))
        })
        .collect()
}

async fn store_plan(conn: &mut AsyncPgConnection, clock: &Clock, plan: &PlanDefinition) -> Result<()> {
    let stored = repo::find_default_plan(conn).await?;
    let row = PlanRow {
        id: stored.as_ref().map_or_else(|| new_uuid(clock), |stored| stored.id),
        key: plan.key.clone(),
        name: plan.name.clone(),
        is_default: true,
        credits: plan.credits,
        min_output_tokens: i32::try_from(plan.min_output_tokens).unwrap_or(i32::MAX),
        version: stored.as_ref().map_or(1, |stored| stored.version),
    };
    if stored.as_ref() != Some(&row) {
        // Another key is another plan, with an id of its own.
        let is_same = stored.is_some_and(|stored| stored.key == row.key);
        let row = if is_same { row } else { PlanRow { id: new_uuid(clock), ..row } };
        repo::upsert_default_plan(conn, &row).await?;
    }
    Ok(())
}

async fn store_models(conn: &mut AsyncPgConnection, clock: &Clock, models: &[ModelDefinition]) -> Result<()> {
    let in_force = repo::list_prices(conn).await?;
    for model in models {
        let id = repo::upsert_model(conn, &model_row(clock, model)).await?;
        for (unit, cost) in PriceUnit::ALL.into_iter().zip(model.costs) {
            let price = PriceRow {
                model_id: id,
                unit: unit.as_str().to_owned(),
                credits: model.prices.of(unit),
                cost,
            };
            let is_in_force = in_force.iter().any(|old| {
                (old.model_id, &old.unit, old.credits, old.cost)
                    == (id, &price.unit, price.credits, price.cost)
            });
            if !is_in_force {
                repo::replace_price(conn, new_uuid(clock), &price).await?;
            }
        }
    }
    let keys: Vec<&str> = models.iter().map(|model| model.key.as_str()).collect();
    repo::disable_other_models(conn, &keys).await?;
    Ok(())
}

fn model_row(clock: &Clock, model: &ModelDefinition) -> ModelRow {
    ModelRow {
        id: new_uuid(clock),
        key: model.key.clone(),
        name: model.name.clone(),
        provider: model.provider.clone(),
        upstream_name: model.upstream_name.clone(),
        context_tokens: i32::try_from(model.context_tokens).unwrap_or(i32::MAX),
        max_output_tokens: i32::try_from(model.max_output_tokens).unwrap_or(i32::MAX),
        is_enabled: true,
    }
}
