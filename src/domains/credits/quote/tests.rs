//! Unit tests of quotes.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    domains::{
        catalog::{Anchor, PlanContent, Rollover},
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
    Anchors { sign_up: now(), subscription: now(), period: windows::month_since(now(), now()), terms: 0 }
}

fn quote(model: &Model, plan: &Plan, ceilings: &Ceilings, prompt_tokens: u32, wanted: Option<u32>) -> Quote {
    let (anchors, user_id) = (anchors(), Uuid::from_u128(9));
    let is_new_conversation = true;
    Quote::new(&Call {
        model,
        plan,
        ceilings,
        anchors: &anchors,
        now: now(),
        until: anchors.period.ends,
        user_id,
        prompt_tokens,
        wanted,
        is_new_conversation,
    })
}

/// Prices of input and output alone.
fn plain(input: i64, output: i64) -> Prices {
    Prices { input, cached_input: input, cache_write: input, output, reasoning: output }
}

/// Often all or nothing.
fn share() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0]
}

fn prices() -> impl Strategy<Value = Prices> {
    let price = || prop_oneof![Just(0), 0_i64..10_000_000_000];
    (price(), price(), price(), price(), price()).prop_map(
        |(input, cached_input, cache_write, output, reasoning)| Prices {
            input,
            cached_input,
            cache_write,
            output,
            reasoning,
        },
    )
}

/// A part of so many tokens.
fn part(whole: u32, share: f64) -> u32 {
    ((f64::from(whole) * share) as u32).min(whole)
}

/// A use of so much of the prompt and of the cap, in any shares.
fn usage((prompt, cached, written): (u32, f64, f64), (cap, used, reasoning): (u32, f64, f64)) -> Usage {
    let cached_input = part(prompt, cached);
    let cache_write = part(prompt - cached_input, written);
    let used = part(cap, used);
    let reasoning = part(used, reasoning);
    Usage {
        input: prompt - cached_input - cache_write,
        cached_input,
        cache_write,
        output: used - reasoning,
        reasoning,
        source: UsageSource::Provider,
    }
}

proptest! {
    /// For every price and option, whatever is used within the prompt and the cap sent upstream costs no more than
    /// what each line holds, in every meter, however it is divided.
    #[test]
    fn a_hold_covers_the_cap(
        (prices, costs) in (prices(), prices()),
        (plan_cap, ceiling, wanted) in (proptest::option::of(64_u32..300_000), proptest::option::of(64_u32..300_000), proptest::option::of(0_u32..300_000)),
        budget in proptest::option::of(0_i64..10_000_000_000), prompt in 0_u32..200_000, payable in 0.0_f64..=1.0,
        (cached, written, used, reasoning) in (share(), share(), share(), share()),
    ) {
        let model = model(prices, Some(costs));
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
        let usage = usage((prompt, cached, written), (cap, used, reasoning));
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

#[test]
fn a_quote_holds_until_the_first_end_of_a_window_or_of_the_plan() {
    let free = model(plain(0, 0), None);
    let ceilings = Ceilings::default();
    let until = |limits: Vec<Limit>| quote(&free, &plan(limits, Some(0)), &ceilings, 10, None).until();
    assert_eq!(until(Vec::new()), anchors().period.ends);
    let month = limit(Meter::Messages, Window::Month, Scope::Account, 9);
    let day = limit(Meter::Messages, Window::Day, Scope::Account, 9);
    assert_eq!(until(vec![month.clone()]), "2026-06-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap());
    assert_eq!(until(vec![month, day]), "2026-05-06T00:00:00Z".parse::<DateTime<Utc>>().unwrap());
}

/// Meter, kind or window, and limit.
fn shown(quote: &Quote) -> Vec<(Meter, &'static str, Option<i64>)> {
    let of = |line: &Line| match line.target {
        Target::Wallet => (line.meter, "wallet", None),
        Target::Counter { window, limit, .. } => (line.meter, window.as_str(), limit),
        Target::Deployment { limit, .. } => (line.meter, "deployment", Some(limit)),
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
    let prices = plain(1_000_000, 1_000_000);
    let ceilings = Ceilings { parallel: Some(3), ..Ceilings::default() };
    let quoted = quote(&model(prices, None), &plan(limits, Some(1)), &ceilings, 10, Some(100));
    assert_eq!(
        shown(&quoted),
        [
            (Meter::Messages, "day", Some(50)),
            (Meter::LlmRequests, "none", Some(3)),
            (Meter::Credits, "day", Some(7)),
            (Meter::Tokens, "wallet", None),
            (Meter::Credits, "wallet", None),
            (Meter::Credits, "deployment", ceilings.deployment_credits_a_day),
        ]
    );
    assert_eq!(quoted.lines()[1]["user"], Uuid::from_u128(9).to_string());
    assert_eq!((&quoted.lines()[3]["fixed"], &quoted.lines()[3]["rate"]), (&10.into(), &1_000_000.into()));
}

#[test]
fn a_plan_without_credits_counts_them_and_what_is_free_has_no_ceiling() {
    let prices = plain(1, 1);
    let ceilings = Ceilings { parallel: None, ..Ceilings::default() };
    let counted = quote(&model(prices, None), &plan(Vec::new(), None), &ceilings, 10, None);
    assert!(counted.terms.is_counted);
    assert_eq!(shown(&counted)[0], (Meter::Credits, "period", None));
    assert_eq!(shown(&counted).len(), 3);
    let free = quote(&model(plain(0, 0), None), &plan(Vec::new(), Some(0)), &ceilings, 10, None);
    assert_eq!(shown(&free), [(Meter::Credits, "wallet", None)]);
}
