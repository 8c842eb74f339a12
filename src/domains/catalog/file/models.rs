//! `[models.<key>]` with `[models.<key>.prices]`, or a list of such prices with dates.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};

use super::values::{filled_up_to, list, price};
use crate::{
    config::document::{Refusal, Section, whole_in},
    domains::catalog::{
        content::ModelContent,
        prices::{PriceList, PriceUnit, UnitPrice},
    },
};

const MAX_TOKENS: u32 = 100_000_000;
/// Changes of price that are known in advance, or kept for the record.
const MAX_LISTS: usize = 100;

/// `None` if something it cannot be without is missing or wrong, which is then among the faults.
pub(super) fn read_model(section: &mut Section<'_>, key: &str) -> Option<ModelContent> {
    let missing =
        Refusal::new("is missing", "set it to the key of a provider in [providers] of loquent.toml");
    let provider = section.required("provider", missing, filled_up_to(64));
    let or_key = |name: Option<String>| name.unwrap_or_else(|| key.to_owned());
    let upstream = or_key(section.parsed("upstream", filled_up_to(200)));
    let name = or_key(section.parsed("name", filled_up_to(100)));
    let aliases = section.parsed("aliases", list).unwrap_or_default();
    let tokens = || Refusal::new("is missing", "set it to the number of tokens the provider states");
    let context_tokens = section.required("context_tokens", tokens(), whole_in(1..=MAX_TOKENS));
    let max_output_tokens = section.required("max_output_tokens", tokens(), whole_in(1..=MAX_TOKENS));
    if max_output_tokens > context_tokens && context_tokens.is_some() {
        let refusal = Refusal::new("is larger than the context", "keep it within context_tokens");
        section.refuse("max_output_tokens", refusal);
    }
    let prices = read_prices(&mut section.section("prices"));
    Some(ModelContent {
        name,
        aliases,
        provider: provider?,
        upstream,
        context_tokens: context_tokens?,
        max_output_tokens: max_output_tokens?,
        prices: prices?,
    })
}

/// One section, or a list of them of which all but the first have a date.
fn read_prices(section: &mut Section<'_>) -> Option<Vec<PriceList>> {
    let mut numbers: Vec<usize> = section.children().iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    if numbers.is_empty() {
        return Some(vec![read_units(section)?]);
    }
    if numbers.len() > MAX_LISTS {
        section.refuse("", Refusal::new("has too many dates", "remove those that are long past"));
        return None;
    }
    let mut lists: Vec<Option<PriceList>> = Vec::new();
    let mut newest = None;
    for (position, number) in numbers.iter().enumerate() {
        let mut own = section.section(&number.to_string());
        let from = own.parsed("from", date);
        match (position, own.has("from"), from) {
            (0, true, _) => {
                let fix = "remove it: the first prices hold from the day the model is in the catalogue";
                own.refuse("from", Refusal::new("stands at the first prices", fix));
            }
            (1.., false, _) => {
                own.refuse("from", Refusal::new("is missing", "say from which day on, such as 2027-01-31"));
            }
            (1.., true, Some(from)) if newest >= Some(from) => {
                own.refuse(
                    "from",
                    Refusal::new("is not after the prices before it", "put the dates in order"),
                );
            }
            _ => newest = from.or(newest),
        }
        lists.push(read_units(&mut own).map(|list| PriceList { from, ..list }));
    }
    lists.into_iter().collect()
}

/// The prices of all units, from no date.
fn read_units(section: &mut Section<'_>) -> Option<PriceList> {
    let mut units = BTreeMap::new();
    let mut is_whole = true;
    for unit in PriceUnit::ALL {
        let word = unit.word();
        let is_needed = matches!(unit, PriceUnit::InputToken | PriceUnit::OutputToken);
        let credits = if is_needed {
            let fix = "set the credits per 1,000,000 tokens, such as \"0.15\"";
            section.required(word, Refusal::new("is missing: no price, no call", fix), price)
        } else {
            section.parsed(word, price)
        };
        let cost_key = format!("cost_{word}_usd");
        let cost = section.parsed(&cost_key, price);
        is_whole &= credits.is_some() || !is_needed;
        match credits {
            Some(credits) => {
                units.insert(unit, UnitPrice { credits, cost });
            }
            None if cost.is_some() && !section.has(word) => {
                let fix = format!("set {word} too, to what users pay, which may be 0");
                section.refuse(&cost_key, Refusal::new("has no price beside it", fix));
            }
            None => {}
        }
    }
    is_whole &= has_both_costs(section, &units);
    // What the provider had cached costs what all input costs, unless it has a price.
    if let Some(input) = units.get(&PriceUnit::InputToken).copied() {
        let cached = units.entry(PriceUnit::CachedInputToken).or_insert(input);
        cached.cost = cached.cost.or(input.cost);
    }
    is_whole.then_some(PriceList { from: None, units })
}

/// What the provider charges is known of input and output, or not at all.
fn has_both_costs(section: &mut Section<'_>, units: &BTreeMap<PriceUnit, UnitPrice>) -> bool {
    let cost = |unit| units.get(&unit).and_then(|price| price.cost);
    let (key, what) = match (cost(PriceUnit::InputToken), cost(PriceUnit::OutputToken)) {
        (Some(_), None) => ("cost_input_usd", "has no cost_output_usd beside it"),
        (None, Some(_)) => ("cost_output_usd", "has no cost_input_usd beside it"),
        _ => return true,
    };
    section.refuse(key, Refusal::new(what.to_owned(), "set both, or none".to_owned()));
    false
}

/// A day, which begins at midnight of UTC, or an instant.
fn date(text: &str) -> Result<DateTime<Utc>, Refusal> {
    let day = text.parse::<NaiveDate>().ok().and_then(|day| day.and_hms_opt(0, 0, 0)).map(|at| at.and_utc());
    let instant = || DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc());
    day.or_else(instant).ok_or_else(|| {
        Refusal::new(
            "is no date",
            "write a day such as 2027-01-31, or an instant such as 2027-01-31T09:00:00Z",
        )
    })
}
