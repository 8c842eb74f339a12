//! Rows of the catalogue, and a model as it is called.

use chrono::{DateTime, Utc};
use diesel::{pg::Pg, prelude::*};
use serde_json::Value;
use uuid::Uuid;

use super::{
    content::CatalogContent,
    plan::Plan,
    prices::{PriceUnit, Prices, UnitPrice},
};
use crate::{
    error::{AppError, Result},
    platform::ids::Entity,
    schema::{catalogs, model_prices, models, plans},
};

/// A catalogue that was applied.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = catalogs, check_for_backend(Pg))]
pub struct CatalogRow {
    pub version: i32,
    /// Where it came from, for people.
    pub source: String,
    /// As the operator wrote it.
    pub document: String,
    pub content: Value,
}

impl CatalogRow {
    pub fn content(&self) -> Result<CatalogContent> {
        serde_json::from_value(self.content.clone()).map_err(AppError::internal)
    }
}

/// When a catalogue was applied.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = catalogs, check_for_backend(Pg))]
pub struct Version {
    pub version: i32,
    /// Where it came from, for people.
    pub source: String,
    pub applied_at: DateTime<Utc>,
}

/// One version of a plan as stored.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = plans, check_for_backend(Pg))]
pub struct PlanRow {
    pub id: Uuid,
    pub key: String,
    pub version: i32,
    pub is_offered: bool,
    pub is_default: bool,
    pub position: i32,
    pub content: Value,
}

impl TryFrom<PlanRow> for Plan {
    type Error = AppError;

    fn try_from(row: PlanRow) -> Result<Self> {
        let content = serde_json::from_value(row.content).map_err(AppError::internal)?;
        Ok(Self { id: row.id, key: row.key, version: row.version, is_offered: row.is_offered, content })
    }
}

/// A model as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = models, check_for_backend(Pg))]
pub struct ModelRow {
    pub id: Uuid,
    pub key: String,
    pub name: String,
    /// List of texts.
    pub aliases: Value,
    pub provider: String,
    pub upstream_name: String,
    pub context_tokens: i32,
    pub max_output_tokens: i32,
    pub is_enabled: bool,
}

/// One price of the book.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = model_prices, check_for_backend(Pg))]
pub struct PriceRow {
    pub id: Uuid,
    pub model_id: Uuid,
    pub unit: String,
    pub credits: i64,
    pub cost: Option<i64>,
    pub valid_from: DateTime<Utc>,
    pub valid_to: Option<DateTime<Utc>>,
}

impl PriceRow {
    pub fn is_in_force(&self, at: DateTime<Utc>) -> bool {
        self.valid_from <= at && self.valid_to.is_none_or(|end| at < end)
    }
}

/// A model that can be called: it has a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub id: Uuid,
    /// Name used in inputs.
    pub key: String,
    /// Other names that lead to it.
    pub aliases: Vec<String>,
    /// Name for people.
    pub name: String,
    /// Key of the provider that serves it.
    pub provider: String,
    /// Name the provider knows it by.
    pub upstream_name: String,
    pub context_tokens: u32,
    pub max_output_tokens: u32,
    /// Credits for text, those in force when the model was asked for.
    pub prices: Prices,
    /// What the provider charges for text, in micro US dollars, when that is known.
    pub costs: Option<Prices>,
    /// All prices in force, those of text included.
    pub unit_prices: Vec<(PriceUnit, UnitPrice)>,
}

impl Entity for Model {
    const PREFIX: &'static str = "mdl";
}

impl Model {
    /// The model with the prices in force at an instant; `None` without prices of input and output: no price, no call.
    pub(super) fn priced(row: &ModelRow, book: &[PriceRow], at: DateTime<Utc>) -> Option<Self> {
        let own = book.iter().filter(|price| price.model_id == row.id && price.is_in_force(at));
        let mut unit_prices: Vec<(PriceUnit, UnitPrice)> = own
            .filter_map(|price| {
                let found = UnitPrice { credits: price.credits, cost: price.cost };
                Some((PriceUnit::parse(&price.unit)?, found))
            })
            .collect();
        unit_prices.sort_by_key(|(unit, _)| *unit);
        let find = |wanted| unit_prices.iter().find(|(unit, _)| *unit == wanted).map(|(_, price)| *price);
        let prices = Prices::find(|unit| find(unit).map(|price| price.credits))?;
        let costs = Prices::find(|unit| find(unit)?.cost);
        Some(Self {
            id: row.id,
            key: row.key.clone(),
            aliases: row.aliases.as_array().into_iter().flatten().filter_map(text).collect(),
            name: row.name.clone(),
            provider: row.provider.clone(),
            upstream_name: row.upstream_name.clone(),
            context_tokens: u32::try_from(row.context_tokens).unwrap_or_default(),
            max_output_tokens: u32::try_from(row.max_output_tokens).unwrap_or_default(),
            prices,
            costs,
            unit_prices,
        })
    }

    /// Whether clients may call it so.
    pub(super) fn is_named(&self, key: &str) -> bool {
        self.key == key || self.aliases.iter().any(|alias| alias == key)
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
