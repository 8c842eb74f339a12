//! What a call may cost in every meter, before it is made. Nobody knows yet what of the prompt a cache has or takes, and
//! what of the answer is reasoning, so each token counts as the dearest that it may become.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;
use uuid::Uuid;

use super::{
    demand::Demand,
    hold::Hold,
    lines::{Line, Target},
    quota::Limits,
    usage::{Terms, ceil_mega, saturated},
    windows::{self, Anchors, Bounds},
};
use crate::{
    domains::catalog::{Ceilings, Limit, Meter, Model, Plan, Prices, Scope, Window},
    platform::metrics::names,
};

/// A call to be paid for: one message to one model, and its answer.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub model: &'a Model,
    pub plan: &'a Plan,
    pub ceilings: &'a Ceilings,
    pub anchors: &'a Anchors,
    pub now: DateTime<Utc>,
    /// When the plan is not in force any more, or its period is over.
    pub until: DateTime<Utc>,
    /// Who calls; limits of members count this person.
    pub user_id: Uuid,
    /// Estimated tokens of the prompt.
    pub prompt_tokens: u32,
    /// Wished cap of output tokens; `None` for as many as there may be.
    pub wanted: Option<u32>,
    pub is_new_conversation: bool,
}

impl Call<'_> {
    /// Most output tokens of one answer of a model, on a plan, under the ceilings.
    pub fn output_cap(model: &Model, plan: &Plan, ceilings: &Ceilings) -> u32 {
        let bounds = [plan.content.max_output_tokens, ceilings.output_tokens];
        bounds.into_iter().flatten().fold(model.max_output_tokens, u32::min)
    }

    /// Most tokens of one prompt, history included.
    pub fn input_cap(plan: &Plan, ceilings: &Ceilings) -> u32 {
        let bounds = [plan.content.max_context_tokens, ceilings.input_tokens];
        bounds.into_iter().flatten().fold(u32::MAX, u32::min)
    }

    /// Fixed part and rate for a million tokens of output; `None` of a meter that the call does not touch.
    fn cost_of(&self, meter: Meter, terms: &Terms) -> Option<(i64, i64)> {
        let priced = |prices: &Prices| {
            let prompt = i128::from(self.prompt_tokens) * i128::from(prices.dearest_input());
            (saturated(ceil_mega(prompt)), prices.dearest_output())
        };
        match meter {
            Meter::LlmRequests | Meter::Messages => Some((1, 0)),
            Meter::Conversations => self.is_new_conversation.then_some((1, 0)),
            Meter::Tokens => Some((i64::from(self.prompt_tokens), 1_000_000)),
            Meter::Credits => Some(priced(&terms.prices)),
            Meter::Cost => terms.costs.as_ref().map(priced),
            Meter::ImageRequests | Meter::VoiceRequests => None,
        }
    }
}

/// What a call may cost: lines, each with a fixed price and a price for each token of output.
#[derive(Debug, Clone)]
pub struct Quote {
    pub terms: Terms,
    /// Wished cap of output tokens.
    pub wanted: u32,
    /// Below this cap the call is refused.
    pub min: u32,
    pub(super) lines: Vec<Line>,
    user_id: Uuid,
    until: DateTime<Utc>,
    /// For the case that it is refused.
    demand: Arc<Demand>,
}

impl Quote {
    /// `wanted` is lowered to what model, plan and ceilings allow. The limits that apply are those of the plan and the
    /// ceilings; each becomes one line.
    pub fn new(call: &Call<'_>) -> Self {
        let content = &call.plan.content;
        let cap = Call::output_cap(call.model, call.plan, call.ceilings);
        let wanted = call.wanted.unwrap_or(cap).min(cap);
        let terms = Terms {
            prices: call.model.prices,
            costs: call.model.costs,
            prompt_tokens: call.prompt_tokens,
            is_counted: content.credits.is_none(),
        };
        let mut lines = plan_lines(call, &terms);
        if content.credits.is_some() {
            add(&mut lines, call, &terms, Meter::Credits, Target::Wallet);
        } else {
            let target = counter(Window::Period, Scope::Account, Some(call.anchors.period), None);
            add(&mut lines, call, &terms, Meter::Credits, target);
        }
        add_ceilings(&mut lines, call, &terms);
        let limits = Limits::new(call.plan, call.ceilings.limits(), call.anchors).counted_by(&lines);
        let demand = Arc::new(Demand::of_call(call, limits));
        let (min, user_id) = (content.min_output_tokens.min(wanted), call.user_id);
        let until = Line::until(&lines, call.until);
        Self { terms, wanted, min, lines, user_id, until, demand }
    }

    /// The same with the most it may cost in micro-credits; `None` when that does not pay for the least.
    pub fn at_most(mut self, credits: i64) -> Option<Self> {
        let room = i128::from(credits) - i128::from(self.fixed());
        let payable = match self.terms.prices.dearest_output() {
            0 if room >= 0 => i128::from(self.wanted),
            0 => -1,
            rate => room * 1_000_000 / i128::from(rate),
        };
        self.wanted = u32::try_from(payable.clamp(0, i128::from(self.wanted))).ok()?;
        (room >= 0 && self.wanted >= self.min).then_some(self)
    }

    /// Least the call may cost, in micro-credits: the prompt and the least output.
    pub fn least(&self) -> i64 {
        let output = i128::from(self.min) * i128::from(self.terms.prices.dearest_output());
        self.fixed().saturating_add(saturated(ceil_mega(output)))
    }

    /// The most that the prompt may cost, in micro-credits.
    fn fixed(&self) -> i64 {
        let total = i128::from(self.terms.prompt_tokens) * i128::from(self.terms.prices.dearest_input());
        saturated(ceil_mega(total))
    }

    /// The lines that the database function `ledger_hold` reads.
    pub fn lines(&self) -> Value {
        self.lines.iter().map(|line| line.to_json(self.user_id)).collect()
    }

    /// From when on it says nothing any more: a window, the period or the plan is over.
    pub fn until(&self) -> DateTime<Utc> {
        self.until
    }

    /// The limits that the call counts in.
    pub fn limits(&self) -> Limits {
        self.demand.limits.clone()
    }

    /// What is asked for, for the case that it is refused.
    pub fn demand(&self) -> &Arc<Demand> {
        &self.demand
    }

    /// The hold that the database opened under `id`: the cap it admitted and the micro-credits it took.
    pub fn admitted(self, id: Uuid, output_cap: i64, credits_held: i64) -> Hold {
        let output_cap = u32::try_from(output_cap).unwrap_or(self.wanted);
        let is_capped = output_cap < self.wanted;
        names::CREDITS_HELD.add([], u64::try_from(credits_held).unwrap_or_default());
        Hold::opened(id, self.terms, output_cap, credits_held, is_capped)
    }
}

/// Those of the plan's limits that the call counts in.
fn plan_lines(call: &Call<'_>, terms: &Terms) -> Vec<Line> {
    let line = |limit: &Limit| {
        let (fixed, rate) = call.cost_of(limit.meter, terms)?;
        let target = Target::of_limit(limit, call.anchors, call.now);
        Some(Line { meter: limit.meter, target, fixed, rate })
    };
    call.plan.content.limits.iter().filter_map(line).collect()
}

fn counter(window: Window, scope: Scope, bounds: Option<Bounds>, limit: Option<i64>) -> Target {
    Target::Counter { window, scope, bounds, limit }
}

/// Adds a line that is no limit of the plan, unless there is one for the same.
fn add(lines: &mut Vec<Line>, call: &Call<'_>, terms: &Terms, meter: Meter, target: Target) {
    if lines.iter().any(|line| line.meter == meter && line.target.is_same(&target)) {
        return;
    }
    if let Some((fixed, rate)) = call.cost_of(meter, terms) {
        lines.push(Line { meter, target, fixed, rate });
    }
}

/// The ceilings. Where the plan has a limit for the same, the smaller of the two counts, in the plan's window. What costs
/// no credits cannot reach a ceiling of credits.
fn add_ceilings(lines: &mut Vec<Line>, call: &Call<'_>, terms: &Terms) {
    let today = Some(windows::day(Tz::UTC, call.now));
    let is_free = call.cost_of(Meter::Credits, terms) == Some((0, 0));
    let parallel = call.ceilings.parallel.map(i64::from);
    let a_day = call.ceilings.account_credits_a_day.filter(|_| !is_free);
    for (meter, window, scope, bounds, ceiling) in [
        (Meter::LlmRequests, Window::None, Scope::Member, None, parallel),
        (Meter::Credits, Window::Day, Scope::Account, today, a_day),
    ] {
        let Some(ceiling) = ceiling else { continue };
        let target = counter(window, scope, bounds, Some(ceiling));
        for line in lines.iter_mut().filter(|line| line.meter == meter && line.target.is_same(&target)) {
            line.target.lower(ceiling);
        }
        add(lines, call, terms, meter, target);
    }
    let of_all = call.ceilings.deployment_credits_a_day.filter(|_| !is_free);
    if let (Some(limit), Some(bounds)) = (of_all, today) {
        add(lines, call, terms, Meter::Credits, Target::Deployment { bounds, limit });
    }
}

#[cfg(test)]
mod tests;
