//! Plans, models and prices.

use diesel::{pg::Pg, prelude::*};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    platform::ids::Entity,
    schema::{model_prices, models, plans},
};

/// An offer.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = plans, check_for_backend(Pg))]
pub struct PlanRow {
    pub id: Uuid,
    pub key: String,
    pub name: String,
    pub is_default: bool,
    /// Micro-credits granted at sign-up.
    pub credits: i64,
    /// A call that cannot pay for this many output tokens is refused.
    pub min_output_tokens: i32,
    /// Grows with every change.
    pub version: i32,
}

impl Entity for PlanRow {
    const PREFIX: &'static str = "pln";
}

/// A model as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = models, check_for_backend(Pg))]
pub struct ModelRow {
    pub id: Uuid,
    pub key: String,
    pub name: String,
    pub provider: String,
    pub upstream_name: String,
    pub context_tokens: i32,
    pub max_output_tokens: i32,
    pub is_enabled: bool,
}

/// One price in force.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = model_prices, check_for_backend(Pg))]
pub struct PriceRow {
    pub model_id: Uuid,
    pub unit: String,
    pub credits: i64,
    pub cost: Option<i64>,
}

/// What a price counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceUnit {
    InputToken,
    CachedInputToken,
    OutputToken,
}

impl PriceUnit {
    pub const ALL: [Self; 3] = [Self::InputToken, Self::CachedInputToken, Self::OutputToken];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::InputToken => "input_token",
            Self::CachedInputToken => "cached_input_token",
            Self::OutputToken => "output_token",
        }
    }
}

/// Micro-credits per 1,000,000 tokens; reasoning costs as much as output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prices {
    pub input: i64,
    pub cached_input: i64,
    pub output: i64,
}

impl Prices {
    pub fn of(&self, unit: PriceUnit) -> i64 {
        match unit {
            PriceUnit::InputToken => self.input,
            PriceUnit::CachedInputToken => self.cached_input,
            PriceUnit::OutputToken => self.output,
        }
    }
}

/// A model that can be called: it has a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub id: Uuid,
    /// Name used in inputs.
    pub key: String,
    /// Name for people.
    pub name: String,
    /// Key of the provider that serves it.
    pub provider: String,
    /// Name the provider knows it by.
    pub upstream_name: String,
    pub context_tokens: u32,
    pub max_output_tokens: u32,
    pub prices: Prices,
}

impl Entity for Model {
    const PREFIX: &'static str = "mdl";
}

/// A model as the operator describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelDefinition {
    pub key: String,
    pub name: String,
    pub provider: String,
    pub upstream_name: String,
    pub context_tokens: u32,
    pub max_output_tokens: u32,
    pub prices: Prices,
    /// Provider prices in micro US dollars per 1,000,000 tokens, in the order of [`PriceUnit::ALL`], when known.
    pub costs: [Option<i64>; 3],
}

/// A plan as the operator describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanDefinition {
    pub key: String,
    pub name: String,
    /// Micro-credits granted at sign-up.
    pub credits: i64,
    pub min_output_tokens: u32,
}
