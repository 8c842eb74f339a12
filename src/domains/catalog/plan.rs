//! One version of one plan.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    limits::{Limit, Rollover},
    model::Model,
};
use crate::{
    error::{AppError, Details, ErrorCode, Result},
    platform::ids::Entity,
};

/// A plan as it is stored: who has it keeps this version until the next period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub id: Uuid,
    /// Stable short name, the same in all versions.
    pub key: String,
    /// Grows by one with every change.
    pub version: i32,
    /// True while it can be chosen in this version.
    pub is_offered: bool,
    pub content: PlanContent,
}

impl Entity for Plan {
    const PREFIX: &'static str = "pln";
}

impl Plan {
    /// Whether a model may be called on this plan.
    pub fn allows(&self, model: &Model) -> bool {
        self.content.models.iter().any(|pattern| is_match(pattern, &model.key))
    }

    /// Refuses a model that may not be called on this plan.
    ///
    /// # Errors
    /// `PLAN_REQUIRED` at the field `model`.
    pub fn require(&self, model: &Model) -> Result<()> {
        if self.allows(model) {
            return Ok(());
        }
        let message = format!("The plan `{}` does not include the model `{}`.", self.content.name, model.key);
        let details = Details::PlanRequired { requires: model.key.clone() };
        Err(AppError::new(ErrorCode::PlanRequired, message).with_details(details).at("model"))
    }

    /// Whether it includes the feature of this key.
    pub fn includes(&self, feature: &str) -> bool {
        self.content.features.contains(feature)
    }
}

/// Whether a key of a model, or the beginning of one followed by `*`, means this model.
pub(super) fn is_match(pattern: &str, key: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => key.starts_with(beginning),
        None => pattern == key,
    }
}

/// What a plan says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanContent {
    /// Name for people.
    pub name: String,
    /// One or two sentences for a price page.
    pub description: Option<String>,
    pub prices: Vec<PlanPrice>,
    /// Micro-credits granted at the start of each period, 0 for none; `None`: calls are counted and not paid for.
    pub credits: Option<i64>,
    /// Of the credits.
    pub rollover: Rollover,
    pub limits: Vec<Limit>,
    pub features: BTreeSet<String>,
    /// Keys of models, or the beginning of keys followed by `*`.
    pub models: BTreeSet<String>,
    /// Below this cap of output a call is refused; above it the cap is lowered to what can be paid.
    pub min_output_tokens: u32,
    pub max_output_tokens: Option<u32>,
    /// Prompt and history.
    pub max_context_tokens: Option<u32>,
    /// `None`: as many as wanted.
    pub max_members: Option<u32>,
    /// True when use beyond what is included is billed afterwards.
    pub is_metered: bool,
    /// Cost points of the operations of each member; `None`: those of [`Rates`](super::Rates).
    pub points_per_minute: Option<u32>,
}

/// A recurring price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanPrice {
    pub interval: Interval,
    /// ISO 4217, upper case.
    pub currency: String,
    /// In the smallest unit of the currency.
    pub amount_minor: i64,
    pub trial_days: u32,
}

/// Length of one billing period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    Month,
    Year,
}
