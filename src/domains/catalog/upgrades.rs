//! Plans for those whose own is not enough, cheapest first.

use std::{cmp::Ordering, sync::Arc};

use super::{
    Catalog, currency,
    plan::{Interval, Plan, PlanPrice},
};

/// More than any currency has.
const DECIMALS: u32 = 4;

impl Catalog {
    /// Plans on offer that include the model or the feature of this key, cheapest first.
    pub fn plans_with(&self, key: &str) -> Vec<Arc<Plan>> {
        match self.find_model(key) {
            Some(model) => self.cheapest_with(|plan| plan.allows(&model)),
            None => self.cheapest_with(|plan| plan.includes(key)),
        }
    }

    /// Plans on offer that are wanted, cheapest first.
    pub fn cheapest_with(&self, is_wanted: impl Fn(&Plan) -> bool) -> Vec<Arc<Plan>> {
        let mut plans = self.plans();
        plans.retain(|plan| is_wanted(plan));
        plans.sort_by(|one, other| by_price(one, other));
        plans
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
