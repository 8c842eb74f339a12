//! Refusals that have something to do with plans and limits, with the plans that would let the call through.

use std::{sync::Arc, time::Duration};

use async_graphql::{ComplexObject, Context, SimpleObject};

use super::{
    balance::CreditBalance,
    quota::{self, Quota, shown},
};
use crate::{
    domains::{
        catalog::{Catalog, graphql::Plan},
        credits::{self, Credits, Refusal},
    },
    error::{AppError, QuotaDetails},
    graphql::{
        ContextExt,
        errors::{PlainError, UserErrorCode},
        scalars::Decimal,
    },
};

/// What a payload shows of an account whose balance or limits do not cover the call; nothing of other refusals.
pub fn standing_of<T>(result: &Result<T, AppError>) -> (Option<CreditBalance>, Vec<Quota>) {
    let Some(refusal) = result.as_ref().err().and_then(Refusal::of_error) else { return (None, Vec::new()) };
    let balance = CreditBalance { account_id: refusal.account_id, balance: refusal.balance() };
    (Some(balance), shown(refusal.quotas()))
}

/// Refusal because the balance does not cover the least the work would cost.
#[derive(Debug, Clone, SimpleObject)]
pub struct InsufficientCreditsError {
    /// Reason for programs.
    #[graphql(owned)]
    pub code: UserErrorCode,
    /// Finished sentence in the language of the request.
    #[graphql(owned)]
    pub message: String,
    /// Path to the offending value, starting with `input`, or null when no single value is at fault.
    #[graphql(owned)]
    pub field: Option<Vec<String>>,
    /// Least credits the work needs.
    required: Decimal,
    /// Credits available.
    available: Decimal,
}

impl InsufficientCreditsError {
    /// With micro-credits.
    pub fn new(error: PlainError, required: i64, available: i64) -> Self {
        let PlainError { code, message, field } = error;
        let (required, available) = (Credits(required).into(), Credits(available).into());
        Self { code, message, field, required, available }
    }
}

/// Refusal because a limit is used up; code QUOTA_EXCEEDED, or RATE_LIMITED when the window is a minute.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct QuotaExceededError {
    /// Reason for programs.
    #[graphql(owned)]
    pub code: UserErrorCode,
    /// Finished sentence in the language of the request.
    #[graphql(owned)]
    pub message: String,
    /// Path to the offending value, starting with `input`, or null when no single value is at fault.
    #[graphql(owned)]
    pub field: Option<Vec<String>>,
    /// In a box, because every other user error is small.
    #[graphql(skip)]
    limit: Box<credits::Quota>,
    #[graphql(skip)]
    retry_after: Option<Duration>,
    #[graphql(skip)]
    refusal: Option<Arc<Refusal>>,
}

impl QuotaExceededError {
    /// `None` for a limit that the catalogue does not know.
    pub fn new(error: &PlainError, details: &QuotaDetails, refusal: Option<&Arc<Refusal>>) -> Option<Self> {
        let PlainError { code, message, field } = error.clone();
        let limit = Box::new(quota::refused(details)?);
        let (retry_after, refusal) = (details.retry_after, refusal.cloned());
        Some(Self { code, message, field, limit, retry_after, refusal })
    }
}

#[ComplexObject]
impl QuotaExceededError {
    /// The limit that was reached.
    async fn quota(&self) -> Quota {
        (*self.limit).clone().into()
    }

    /// Seconds until the same call would pass, or null when waiting does not help.
    async fn retry_after_seconds(&self) -> Option<i32> {
        self.retry_after.map(|wait| i32::try_from(wait.as_secs()).unwrap_or(i32::MAX))
    }

    /// Plans with a higher limit, cheapest first.
    async fn upgrade_plans(&self, ctx: &Context<'_>) -> Vec<Plan> {
        let plans = self.refusal.as_ref().map(|refusal| refusal.upgrades(ctx.handle::<Catalog>()));
        plans.unwrap_or_default().into_iter().map(Plan).collect()
    }
}

/// Refusal because the plan lacks a model or feature.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct PlanRequiredError {
    /// Reason for programs.
    #[graphql(owned)]
    pub code: UserErrorCode,
    /// Finished sentence in the language of the request.
    #[graphql(owned)]
    pub message: String,
    /// Path to the offending value, starting with `input`, or null when no single value is at fault.
    #[graphql(owned)]
    pub field: Option<Vec<String>>,
    /// Key of the missing model or feature.
    requires: String,
}

impl PlanRequiredError {
    /// `requires` is the key of a model or a feature.
    pub fn new(error: PlainError, requires: String) -> Self {
        let PlainError { code, message, field } = error;
        Self { code, message, field, requires }
    }
}

#[ComplexObject]
impl PlanRequiredError {
    /// Plans that include it, cheapest first.
    async fn upgrade_plans(&self, ctx: &Context<'_>) -> Vec<Plan> {
        ctx.handle::<Catalog>().plans_with(&self.requires).into_iter().map(Plan).collect()
    }
}
