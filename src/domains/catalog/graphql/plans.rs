//! Plans, their limits and prices, and features.

use std::sync::Arc;

use async_graphql::{Context, Enum, Object, Result, SimpleObject};
use rust_decimal::Decimal as Number;

use crate::{
    domains::{
        catalog::{self, Catalog, currency},
        subscriptions::graphql::in_force,
    },
    graphql::{
        ContextExt,
        money::{CurrencyCode, Money},
        scalars::Decimal,
    },
    platform::ids::Id,
};

/// Offer in the catalogue; the server knows limits and features, never plan names.
#[derive(Clone)]
pub struct Plan(pub Arc<catalog::Plan>);

/// Offer in the catalogue; the server knows limits and features, never plan names.
#[Object]
impl Plan {
    /// Id with the prefix `pln_`.
    pub async fn id(&self) -> Id<catalog::Plan> {
        self.0.id.into()
    }

    /// Stable short name, such as `pro`.
    async fn key(&self) -> &str {
        &self.0.key
    }

    /// Name for people, such as `Pro`.
    async fn name(&self) -> &str {
        &self.0.content.name
    }

    /// One or two sentences for a price page, or null.
    async fn description(&self) -> Option<&str> {
        self.0.content.description.as_deref()
    }

    /// Prices by interval; empty for a free plan.
    async fn prices(&self) -> Vec<PlanPrice> {
        self.0.content.prices.iter().map(PlanPrice::from).collect()
    }

    /// Credits granted at the start of each period; null is unlimited.
    async fn credits_per_period(&self) -> Option<Decimal> {
        self.0.content.credits.map(Decimal::of_micro)
    }

    /// What happens to plan credits left at the end of a period.
    async fn rollover(&self) -> Rollover {
        match self.0.content.rollover {
            catalog::Rollover::None => Rollover::None,
            catalog::Rollover::Capped { .. } => Rollover::Capped,
            catalog::Rollover::Unlimited => Rollover::Unlimited,
        }
    }

    /// Limits per meter and window; a meter without a limit is unlimited but still counted.
    async fn limits(&self) -> Vec<PlanLimit> {
        self.0.content.limits.iter().map(PlanLimit::from).collect()
    }

    /// Keys of the features the plan includes.
    async fn features(&self) -> Vec<&str> {
        self.0.content.features.iter().map(String::as_str).collect()
    }

    /// Most tokens one answer may have, or null for the limit of the model.
    async fn max_output_tokens(&self) -> Option<u32> {
        self.0.content.max_output_tokens
    }

    /// Most tokens of history and prompt sent to a model, or null for the limit of the model.
    async fn max_context_tokens(&self) -> Option<u32> {
        self.0.content.max_context_tokens
    }

    /// Most members of a team account; null is unlimited, 1 means personal only.
    async fn max_members(&self) -> Option<u32> {
        self.0.content.max_members
    }

    /// True when use beyond the included amounts is billed afterwards.
    async fn is_metered(&self) -> bool {
        self.0.content.is_metered
    }

    /// Version of the catalogue row; a subscription keeps the version it bought until renewal.
    async fn version(&self) -> i32 {
        self.0.version
    }
}

/// Chargeable ability with a fixed price or a switch in the plans.
pub struct Feature(pub Arc<catalog::Feature>);

/// Chargeable ability with a fixed price or a switch in the plans.
#[Object]
impl Feature {
    /// Stable short name, such as `video_generation`.
    async fn key(&self) -> &str {
        &self.0.key
    }

    /// Name for people.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Fixed price of one use in credits, or null when the price follows use.
    async fn credit_cost(&self) -> Option<Decimal> {
        self.0.credits.map(Decimal::of_micro)
    }

    /// True when the plan of the caller's default account includes it.
    async fn is_included(&self, ctx: &Context<'_>) -> Result<bool> {
        let own = in_force(ctx, ctx.viewer().personal_account_id()).await?.map(|found| found.plan);
        // What everybody gets who joins.
        let plan = own.unwrap_or_else(|| ctx.handle::<Catalog>().default_plan());
        Ok(plan.includes(&self.0.key))
    }
}

/// Recurring price of a plan.
#[derive(SimpleObject)]
pub struct PlanPrice {
    /// Length of one period.
    interval: BillingInterval,
    /// Price of one period.
    amount: Money,
    /// Days free of charge at the start, 0 for none.
    trial_days: u32,
}

impl From<&catalog::PlanPrice> for PlanPrice {
    fn from(price: &catalog::PlanPrice) -> Self {
        let decimals = currency::decimals(&price.currency).unwrap_or(2);
        let amount = Money {
            amount: Decimal(Number::new(price.amount_minor, decimals)),
            currency_code: CurrencyCode(price.currency.clone()),
        };
        Self { interval: price.interval.into(), amount, trial_days: price.trial_days }
    }
}

/// Length of one billing period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "catalog::Interval")]
pub enum BillingInterval {
    /// One calendar month.
    Month,
    /// One calendar year.
    Year,
}

/// What happens to plan credits left at the end of a period; bought credits always stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum Rollover {
    /// They expire.
    None,
    /// They stay up to the cap of the plan.
    Capped,
    /// They all stay.
    Unlimited,
}

/// Limit of a plan on one meter.
#[derive(SimpleObject)]
pub struct PlanLimit {
    /// What is counted.
    meter: Meter,
    /// Span after which the count starts again.
    window: QuotaWindow,
    /// Whether the count is shared by the account or kept per member.
    scope: QuotaScope,
    /// Most that may be used in one window; null is unlimited.
    amount: Option<Decimal>,
}

impl From<&catalog::Limit> for PlanLimit {
    fn from(limit: &catalog::Limit) -> Self {
        let amount = limit.amount.map(|amount| amount_of(limit.meter, amount));
        Self { meter: limit.meter.into(), window: limit.window.into(), scope: limit.scope.into(), amount }
    }
}

/// An amount of what a meter counts, which is in millionths where that has decimals.
pub fn amount_of(meter: catalog::Meter, amount: i64) -> Decimal {
    match meter.is_micro() {
        true => Decimal::of_micro(amount),
        false => Decimal(Number::from(amount)),
    }
}

/// What a quota counts; one call may draw on several, all or none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "catalog::Meter")]
pub enum Meter {
    /// Calls of language models.
    LlmRequests,
    /// Calls of image models.
    ImageRequests,
    /// Calls of speech models in either direction.
    VoiceRequests,
    /// Messages written by people.
    Messages,
    /// Conversations created.
    Conversations,
    /// Tokens in and out.
    Tokens,
    /// Credits spent.
    Credits,
    /// Provider cost in US dollars.
    Cost,
}

/// Span after which a quota starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "catalog::Window")]
pub enum QuotaWindow {
    /// Sliding 60 seconds.
    Minute,
    /// Sliding hour.
    Hour,
    /// Calendar day in the zone of the plan, UTC unless set otherwise.
    Day,
    /// Month counted from the anchor of the plan.
    Month,
    /// Billing period of the subscription.
    Period,
    /// Never starts again.
    None,
}

/// Whose use a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "catalog::Scope")]
pub enum QuotaScope {
    /// All members together.
    Account,
    /// Each member alone.
    Member,
}
