//! `[plans.<key>]`.

use std::collections::BTreeSet;

use super::{
    Names,
    checks::{features_of, models_of},
    limits::{read_limits, rollover},
    values::{POINTS, credits, filled_up_to, or_unlimited, word},
};
use crate::{
    config::document::{Refusal, Section, micro_units, whole_in},
    domains::catalog::{
        currency,
        limits::Rollover,
        plan::{Interval, PlanContent, PlanPrice},
    },
};

const INTERVALS: [(&str, Interval); 2] = [("month", Interval::Month), ("year", Interval::Year)];
const MAX_MINOR: i64 = 100_000_000;

/// `None` if something it cannot be without is missing or wrong, which is then among the faults.
pub(super) fn read_plan(section: &mut Section<'_>, names: &Names) -> Option<PlanContent> {
    let name = section.required("name", Refusal::new("is missing", "name it for people"), filled_up_to(100));
    let description = section.parsed("description", filled_up_to(500));
    let fix = "set the credits of a period such as \"10\", \"0\" for none, or \"unlimited\" to count and not charge";
    let credits = section.required("credits", Refusal::new("is missing", fix), or_unlimited(credits));
    let rollover = section.parsed("rollover", rollover).unwrap_or_default();
    if rollover != Rollover::None && credits.is_some_and(|credits| credits.is_none_or(|credits| credits == 0))
    {
        let fix = "remove it, or give the plan credits";
        section.refuse("rollover", Refusal::new("has no credits to carry over", fix));
    }
    let missing = Refusal::new("is missing", "list keys of models, or \"*\" for all of them");
    let models = section.required("models", missing, models_of(names));
    let tokens = || or_unlimited(whole_in(1..=100_000_000));
    let min_output_tokens = section.whole("min_output_tokens", 64, 1..=1_000_000);
    let max_output_tokens = section.parsed("max_output_tokens", tokens()).flatten();
    if max_output_tokens.is_some_and(|most| most < min_output_tokens) {
        let refusal = Refusal::new("is less than min_output_tokens", "raise it, or lower the other");
        section.refuse("max_output_tokens", refusal);
    }
    // All of it is read before anything is missed, so that every fault is named.
    let prices = read_prices(&mut section.section("prices"));
    let limits = read_limits(&mut section.section("limits"));
    let features = section.parsed("features", features_of(names)).unwrap_or_default();
    let mut plan = PlanContent {
        name: String::new(),
        description,
        prices,
        credits: None,
        rollover,
        limits,
        features,
        models: BTreeSet::new(),
        min_output_tokens,
        max_output_tokens,
        max_context_tokens: section.parsed("max_context_tokens", tokens()).flatten(),
        max_members: section.parsed("max_members", or_unlimited(whole_in(1..=1_000_000))).flatten(),
        is_metered: section.switch("is_metered", false),
        points_per_minute: section.section("rates").parsed("points_per_minute", whole_in(POINTS)),
    };
    (plan.name, plan.credits, plan.models) = (name?, credits?, models?);
    Some(plan)
}

/// One price an interval and currency.
fn read_prices(section: &mut Section<'_>) -> Vec<PlanPrice> {
    let mut prices: Vec<PlanPrice> = Vec::new();
    for number in section.children() {
        let mut own = section.section(&number);
        let Some(price) = read_price(&mut own) else { continue };
        let is_same =
            |other: &PlanPrice| (other.interval, &other.currency) == (price.interval, &price.currency);
        if prices.iter().any(is_same) {
            let refusal = Refusal::new("is priced in this currency already", "keep one of the two");
            own.refuse("interval", refusal);
        }
        prices.push(price);
    }
    prices
}

fn read_price(section: &mut Section<'_>) -> Option<PlanPrice> {
    let missing = Refusal::new("is missing", "set it to month or year");
    let interval = section.required("interval", missing, word(&INTERVALS));
    let missing = Refusal::new("is missing", "set it to a code of ISO 4217, such as \"USD\"");
    let currency = section.required("currency", missing.clone(), |text| {
        let known = currency::decimals(text).map(|decimals| (text.to_owned(), decimals));
        known.ok_or(Refusal { why: "is no code of a currency".to_owned(), ..missing })
    });
    let decimals = currency.as_ref().map_or(2, |(_, decimals)| *decimals);
    let missing = Refusal::new("is missing", "set the price of one interval, such as \"9\" or \"9.50\"");
    let amount_minor = section.required("amount", missing, |text| minor_units(text, decimals));
    let trial_days = section.whole("trial_days", 0, 0..=730);
    Some(PlanPrice { interval: interval?, currency: currency?.0, amount_minor: amount_minor?, trial_days })
}

/// The smallest units of an amount in the main unit.
fn minor_units(text: &str, decimals: u32) -> Result<i64, Refusal> {
    let micro = micro_units(text, MAX_MINOR)?;
    let step = 10_i64.pow(6 - decimals.min(6));
    match micro % step {
        0 => Ok(micro / step),
        _ => {
            Err(Refusal::new("is more exact than the currency", format!("write at most {decimals} decimals")))
        }
    }
}
