//! What a plan grants for each period.

use crate::domains::catalog::{Meter, PlanContent, Rollover, Window};

/// An amount that is granted at the start of each period, and what becomes of its rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Included {
    pub meter: Meter,
    /// Above 0; credits and cost in millionths.
    pub amount: i64,
    pub rollover: Rollover,
}

impl Included {
    /// How much of a rest stays when the period is over.
    pub fn carried(&self, rest: i64) -> i64 {
        match self.rollover {
            Rollover::None => 0,
            Rollover::Capped { percent } => {
                let cap = i128::from(self.amount) * i128::from(percent) / 100;
                i64::try_from(cap).map_or(rest, |cap| rest.min(cap))
            }
            Rollover::Unlimited => rest,
        }
    }
}

/// Everything that a plan grants, one entry a meter.
pub fn included(plan: &PlanContent) -> Vec<Included> {
    let credits =
        plan.credits.map(|amount| Included { meter: Meter::Credits, amount, rollover: plan.rollover });
    let limits = plan.limits.iter().filter(|limit| limit.is_granted() && limit.window == Window::Period);
    let limits = limits.filter_map(|limit| {
        Some(Included { meter: limit.meter, amount: limit.amount?, rollover: limit.rollover })
    });
    credits.into_iter().chain(limits).filter(|included| included.amount > 0).collect()
}
