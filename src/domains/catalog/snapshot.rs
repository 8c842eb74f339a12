//! One reading of the catalogue, and what of it is in force at an instant.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, Utc};

use super::{
    content::Feature,
    limits::{Ceilings, Rates},
    model::{CatalogRow, Model, ModelRow, PlanRow, PriceRow},
    plan::Plan,
};
use crate::error::{AppError, Result};

/// Models and the whole price book, as stored.
pub(super) struct Stored {
    pub(super) models: Vec<ModelRow>,
    pub(super) prices: Vec<PriceRow>,
    /// Keys of the providers that this process can call.
    pub(super) providers: BTreeSet<String>,
}

impl Stored {
    /// When a price ends or begins next.
    fn next_price(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let changes = self.prices.iter().flat_map(|price| [Some(price.valid_from), price.valid_to]);
        changes.flatten().filter(|at| *at > after).min()
    }
}

/// The catalogue at an instant.
#[derive(Clone)]
pub(super) struct Snapshot {
    /// Of the catalogue that was applied last.
    pub(super) version: i64,
    /// All versions, those on offer first and in their order.
    pub(super) plans: Vec<Arc<Plan>>,
    pub(super) default_plan: Arc<Plan>,
    /// Those that can be called here, by key.
    pub(super) models: Vec<Arc<Model>>,
    /// Those whose provider is not configured here.
    pub(super) unserved: Vec<Arc<Model>>,
    pub(super) features: Vec<Arc<Feature>>,
    pub(super) ceilings: Ceilings,
    pub(super) rates: Rates,
    pub(super) stored: Arc<Stored>,
    /// When the prices are others than here.
    pub(super) next_price: Option<DateTime<Utc>>,
}

impl Snapshot {
    pub(super) fn new(
        newest: &CatalogRow,
        plans: Vec<PlanRow>,
        stored: Stored,
        at: DateTime<Utc>,
    ) -> Result<Self> {
        let content = newest.content()?;
        let default_id = plans.iter().find(|row| row.is_default).map(|row| row.id);
        let plans =
            plans.into_iter().map(|row| Plan::try_from(row).map(Arc::new)).collect::<Result<Vec<_>>>()?;
        let default_plan = plans.iter().find(|plan| Some(plan.id) == default_id).cloned();
        let missing = || AppError::internal(anyhow::anyhow!("the catalogue has no default plan"));
        let features = content
            .features
            .into_iter()
            .map(|(key, feature)| Arc::new(Feature { key, name: feature.name, credits: feature.credits }));
        let snapshot = Self {
            version: i64::from(newest.version),
            default_plan: default_plan.ok_or_else(missing)?,
            plans,
            models: Vec::new(),
            unserved: Vec::new(),
            features: features.collect(),
            ceilings: content.ceilings,
            rates: content.rates,
            stored: Arc::new(stored),
            next_price: None,
        };
        Ok(snapshot.at(at))
    }

    /// The same reading at another instant.
    pub(super) fn at(&self, at: DateTime<Utc>) -> Self {
        let Stored { models, prices, providers } = &*self.stored;
        let priced = models.iter().filter_map(|row| Model::priced(row, prices, at)).map(Arc::new);
        let (models, unserved) = priced.partition(|model| providers.contains(&model.provider));
        Self { models, unserved, next_price: self.stored.next_price(at), ..self.clone() }
    }

    /// Plans on offer, in the order of the catalogue.
    pub(super) fn offered(&self) -> impl Iterator<Item = &Arc<Plan>> {
        self.plans.iter().filter(|plan| plan.is_offered)
    }
}
