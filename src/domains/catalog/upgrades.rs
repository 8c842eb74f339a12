//! Which plans let through what another refuses.

use std::{cmp::Ordering, sync::Arc};

use super::{
    Catalog, currency,
    limits::{Ceilings, Limit, Meter, Scope, Window},
    plan::{Interval, Plan, PlanPrice},
};

/// More than any currency has.
const DECIMALS: u32 = 4;

impl Catalog {
    /// Plans on offer in which a limit is higher than `limit`, cheapest first. What a ceiling allows is all that a plan can.
    pub fn plans_beyond(&self, meter: Meter, window: Window, scope: Scope, limit: i64) -> Vec<Arc<Plan>> {
        let ceiling = ceiling(&self.ceilings(), meter, window, scope);
        self.cheapest_with(|plan| {
            let is_this = |known: &&Limit| (known.meter, known.window, known.scope) == (meter, window, scope);
            let own = plan.content.limits.iter().find(is_this).and_then(|limit| limit.amount);
            own.unwrap_or(i64::MAX).min(ceiling.unwrap_or(i64::MAX)) > limit
        })
    }

    /// Plans on offer that include the model or the feature of this key, cheapest first.
    pub fn plans_with(&self, key: &str) -> Vec<Arc<Plan>> {
        match self.find_model(key) {
            Some(model) => self.cheapest_with(|plan| plan.allows(&model)),
            None => self.cheapest_with(|plan| plan.includes(key)),
        }
    }

    fn cheapest_with(&self, is_wanted: impl Fn(&Plan) -> bool) -> Vec<Arc<Plan>> {
        let mut plans = self.plans();
        plans.retain(|plan| is_wanted(plan));
        plans.sort_by(|one, other| by_price(one, other));
        plans
    }
}

/// The ceiling of what a limit counts.
fn ceiling(ceilings: &Ceilings, meter: Meter, window: Window, scope: Scope) -> Option<i64> {
    match (meter, window, scope) {
        (Meter::LlmRequests, Window::None, Scope::Member) => ceilings.parallel.map(i64::from),
        (Meter::Credits, Window::Day, Scope::Account) => ceilings.account_credits_a_day,
        _ => None,
    }
}

/// By the least that a plan costs in a year; a plan without a price is free.
fn by_price(one: &Plan, other: &Plan) -> Ordering {
    price_of_a_year(one).cmp(&price_of_a_year(other))
}

fn price_of_a_year(plan: &Plan) -> i128 {
    let of_a_year = |price: &PlanPrice| {
        let decimals = currency::decimals(&price.currency).unwrap_or(2).min(DECIMALS);
        let periods = match price.interval {
            Interval::Month => 12,
            Interval::Year => 1,
        };
        i128::from(price.amount_minor) * 10_i128.pow(DECIMALS - decimals) * periods
    };
    plan.content.prices.iter().map(of_a_year).min().unwrap_or(0)
}
