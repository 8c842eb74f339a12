//! All that one catalogue says.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    limits::{Ceilings, Rates},
    plan::PlanContent,
    prices::PriceList,
};

/// A catalogue that was read and found sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogContent {
    /// Key of the plan of every new account.
    pub default_plan: String,
    /// By key, in the order in which they are offered.
    pub plans: Vec<(String, PlanContent)>,
    /// By key.
    pub features: BTreeMap<String, FeatureContent>,
    /// By key; the built-in echo is not among them.
    pub models: BTreeMap<String, ModelContent>,
    pub ceilings: Ceilings,
    pub rates: Rates,
}

impl CatalogContent {
    /// Models of providers that a process does not have, such as `gpt-4o (openai)`.
    pub fn unserved(&self, is_served: impl Fn(&str) -> bool) -> Vec<String> {
        let missing = self.models.iter().filter(|(_, model)| !is_served(&model.provider));
        missing.map(|(key, model)| format!("{key} ({})", model.provider)).collect()
    }
}

/// What is said of an ability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureContent {
    /// Name for people.
    pub name: String,
    /// Micro-credits of one use; `None`: the price follows use.
    pub credits: Option<i64>,
}

/// What is said of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelContent {
    /// Name for people.
    pub name: String,
    /// Other keys that lead to it.
    pub aliases: BTreeSet<String>,
    /// Key of the provider, as in the configuration.
    pub provider: String,
    /// Name the provider knows it by.
    pub upstream: String,
    pub context_tokens: u32,
    pub max_output_tokens: u32,
    /// By their beginning; the first has none. Each has prices of input and output.
    pub prices: Vec<PriceList>,
}

/// An ability that plans include, with a price of its own or without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    pub key: String,
    /// Name for people.
    pub name: String,
    /// Micro-credits of one use; `None`: the price follows use.
    pub credits: Option<i64>,
}
