//! What a call may cost in every meter, before it is made.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;
use uuid::Uuid;

use super::{
    hold::Hold,
    lines::{Line, Target},
    quota::Limits,
    usage::{Terms, ceil_mega, saturated},
    windows::{self, Anchors, Bounds},
};
use crate::{
    domains::catalog::{Ceilings, Limit, Meter, Model, Plan, Scope, Window},
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
        let priced = |input: i64, output: i64| {
            (saturated(ceil_mega(i128::from(self.prompt_tokens) * i128::from(input))), output)
        };
        match meter {
            Meter::LlmRequests | Meter::Messages => Some((1, 0)),
            Meter::Conversations => self.is_new_conversation.then_some((1, 0)),
            Meter::Tokens => Some((i64::from(self.prompt_tokens), 1_000_000)),
            Meter::Credits => Some(priced(terms.prices.input, terms.prices.output)),
            Meter::Cost => terms.costs.map(|costs| priced(costs.input, costs.output)),
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
    lines: Vec<Line>,
    user_id: Uuid,
    until: DateTime<Utc>,
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
        let min = content.min_output_tokens.min(wanted);
        let until = Line::until(&lines, call.until);
        Self { terms, wanted, min, lines, user_id: call.user_id, until }
    }

    /// The same with the most it may cost in micro-credits; `None` when that does not pay for the least.
    pub fn at_most(mut self, credits: i64) -> Option<Self> {
        let room = i128::from(credits) - i128::from(self.fixed());
        let payable = match self.terms.prices.output {
            0 if room >= 0 => i128::from(self.wanted),
            0 => -1,
            rate => room * 1_000_000 / i128::from(rate),
        };
        self.wanted = u32::try_from(payable.clamp(0, i128::from(self.wanted))).ok()?;
        (room >= 0 && self.wanted >= self.min).then_some(self)
    }

    /// Least the call may cost, in micro-credits: the prompt and the least output.
    pub fn least(&self) -> i64 {
        let output = i128::from(self.min) * i128::from(self.terms.prices.output);
        self.fixed().saturating_add(saturated(ceil_mega(output)))
    }

    /// Price of the prompt in micro-credits.
    fn fixed(&self) -> i64 {
        let total = i128::from(self.terms.prompt_tokens) * i128::from(self.terms.prices.input);
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

    /// The limits of the plan that the call counts in.
    pub fn limits(&self) -> Limits {
        Limits::of(&self.lines)
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
        Some(Line { meter: limit.meter, target, fixed, rate, is_shown: true })
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
        lines.push(Line { meter, target, fixed, rate, is_shown: false });
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
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        domains::{
            catalog::{Anchor, PlanContent, Prices, Rollover},
            credits::{Usage, UsageSource},
        },
        providers::types::Funding,
    };

    fn plan(limits: Vec<Limit>, credits: Option<i64>) -> Plan {
        let content = PlanContent {
            name: "Plan".into(),
            description: None,
            prices: Vec::new(),
            credits,
            rollover: Rollover::None,
            limits,
            features: BTreeSet::new(),
            models: BTreeSet::new(),
            min_output_tokens: 64,
            max_output_tokens: None,
            max_context_tokens: None,
            max_members: None,
            is_metered: false,
            points_per_minute: None,
        };
        Plan { id: Uuid::nil(), key: "plan".into(), version: 1, is_offered: true, content }
    }

    fn model(prices: Prices, costs: Option<Prices>) -> Model {
        Model {
            id: Uuid::nil(),
            key: "m".into(),
            aliases: Vec::new(),
            name: "M".into(),
            provider: "p".into(),
            upstream_name: "m".into(),
            context_tokens: 1_000_000,
            max_output_tokens: 200_000,
            prices,
            costs,
            unit_prices: Vec::new(),
        }
    }

    fn limit(meter: Meter, window: Window, scope: Scope, amount: i64) -> Limit {
        let (zone, anchor, rollover) = (Tz::UTC, Anchor::Calendar, Rollover::None);
        Limit { meter, window, scope, amount: Some(amount), zone, anchor, rollover }
    }

    fn now() -> DateTime<Utc> {
        "2026-05-05T12:00:00Z".parse().unwrap()
    }

    fn anchors() -> Anchors {
        Anchors { sign_up: now(), subscription: now(), period: windows::month_since(now(), now()) }
    }

    fn quote(
        model: &Model,
        plan: &Plan,
        ceilings: &Ceilings,
        prompt_tokens: u32,
        wanted: Option<u32>,
    ) -> Quote {
        let (anchors, user_id) = (anchors(), Uuid::from_u128(9));
        let now = now();
        let is_new_conversation = true;
        Quote::new(&Call {
            model,
            plan,
            ceilings,
            anchors: &anchors,
            now,
            until: anchors.period.ends,
            user_id,
            prompt_tokens,
            wanted,
            is_new_conversation,
        })
    }

    const FREE: Prices = Prices { input: 0, cached_input: 0, output: 0 };

    proptest! {
        /// For every price and option, whatever is used within the prompt and the cap sent upstream costs no more than
        /// what each line holds, in every meter.
        #[test]
        fn a_hold_covers_the_cap(
            (input, output, cost) in (0_i64..10_000_000_000, 0_i64..10_000_000_000, 0_i64..10_000_000_000),
            (plan_cap, ceiling, wanted) in (proptest::option::of(64_u32..300_000), proptest::option::of(64_u32..300_000), proptest::option::of(0_u32..300_000)),
            budget in proptest::option::of(0_i64..10_000_000_000), prompt in 0_u32..200_000, payable in 0.0_f64..=1.0, share in 0.0_f64..=1.0,
        ) {
            let prices = Prices { input, cached_input: input / 2, output };
            let model = model(prices, Some(Prices { input: cost, cached_input: cost, output: cost }));
            let mut plan = plan(vec![
                limit(Meter::Tokens, Window::Month, Scope::Account, 1),
                limit(Meter::Cost, Window::Day, Scope::Member, 1),
            ], Some(0));
            plan.content.max_output_tokens = plan_cap;
            let ceilings = Ceilings { output_tokens: ceiling, ..Ceilings::default() };
            let quote = quote(&model, &plan, &ceilings, prompt, wanted);
            prop_assert!(quote.wanted <= [plan_cap, ceiling, wanted].into_iter().flatten().fold(model.max_output_tokens, u32::min));
            prop_assert!(quote.min <= quote.wanted);
            let quote = match budget {
                None => Some(quote),
                Some(budget) => quote.at_most(budget),
            };
            let Some(quote) = quote else { return Ok(()) };
            // The database may lower the cap further, to what can be paid.
            let units = quote.min + (f64::from(quote.wanted - quote.min) * payable) as u32;
            let costs: Vec<(Meter, i128)> = quote.lines.iter()
                .map(|line| (line.meter, i128::from(line.fixed) + ceil_mega(i128::from(line.rate) * i128::from(units)))).collect();
            let terms = quote.terms;
            let hold = quote.admitted(Uuid::nil(), i64::from(units), 0);
            let cap = hold.output_cap();
            hold.abandon();
            let used = (f64::from(cap) * share) as u32;
            let usage = Usage { input: prompt, cached_input: 0, output: used, reasoning: cap - used, source: UsageSource::Provider };
            for (meter, held) in costs {
                let real = match meter {
                    Meter::Credits => terms.credits(&usage),
                    Meter::Tokens => usage.tokens(),
                    Meter::Cost => terms.cost(&usage),
                    _ => 1,
                };
                prop_assert!(i128::from(real) <= held, "{meter:?}: {real} > {held}");
            }
            if let Some(budget) = budget {
                prop_assert!(terms.credits(&usage) <= budget);
            }
        }
    }

    /// Meter, kind, window, limit and whether it is a limit of the plan.
    fn shown(quote: &Quote) -> Vec<(Meter, &'static str, Option<i64>, bool)> {
        let of = |line: &Line| match line.target {
            Target::Wallet => (line.meter, "wallet", None, line.is_shown),
            Target::Counter { window, limit, .. } => (line.meter, window.as_str(), limit, line.is_shown),
            Target::Deployment { limit, .. } => (line.meter, "deployment", Some(limit), line.is_shown),
        };
        quote.lines.iter().map(of).collect()
    }

    #[test]
    fn the_limits_of_the_plan_and_the_ceilings_are_the_lines() {
        let limits = vec![
            limit(Meter::Messages, Window::Day, Scope::Account, 50),
            limit(Meter::ImageRequests, Window::Day, Scope::Account, 5),
            limit(Meter::LlmRequests, Window::None, Scope::Member, 9),
            limit(Meter::Credits, Window::Day, Scope::Account, 7),
            Limit {
                rollover: Rollover::Unlimited,
                ..limit(Meter::Tokens, Window::Period, Scope::Account, 1_000)
            },
        ];
        let prices = Prices { input: 1_000_000, cached_input: 0, output: 1_000_000 };
        let ceilings = Ceilings { parallel: Some(3), ..Ceilings::default() };
        let quoted = quote(&model(prices, None), &plan(limits, Some(1)), &ceilings, 10, Some(100));
        assert_eq!(
            shown(&quoted),
            [
                (Meter::Messages, "day", Some(50), true),
                (Meter::LlmRequests, "none", Some(3), true),
                (Meter::Credits, "day", Some(7), true),
                (Meter::Tokens, "wallet", None, true),
                (Meter::Credits, "wallet", None, false),
                (Meter::Credits, "deployment", ceilings.deployment_credits_a_day, false),
            ]
        );
        assert_eq!(quoted.lines()[1]["user"], Uuid::from_u128(9).to_string());
        assert_eq!(
            (&quoted.lines()[3]["fixed"], &quoted.lines()[3]["rate"]),
            (&10.into(), &1_000_000.into())
        );
    }

    #[test]
    fn a_plan_without_credits_counts_them_and_what_is_free_has_no_ceiling() {
        let prices = Prices { input: 1, cached_input: 0, output: 1 };
        let ceilings = Ceilings { parallel: None, ..Ceilings::default() };
        let counted = quote(&model(prices, None), &plan(Vec::new(), None), &ceilings, 10, None);
        assert!(counted.terms.is_counted);
        assert_eq!(shown(&counted)[0], (Meter::Credits, "period", None, false));
        assert_eq!(shown(&counted).len(), 3);
        let free = quote(&model(FREE, None), &plan(Vec::new(), Some(0)), &ceilings, 10, None);
        assert_eq!(shown(&free), [(Meter::Credits, "wallet", None, false)]);
    }
}
