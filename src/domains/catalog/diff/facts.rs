//! What a catalogue says, as named facts. Every part is taken apart by name, so that a new field cannot be forgotten here.

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use crate::domains::catalog::{
    content::{CatalogContent, FeatureContent, ModelContent},
    currency,
    limits::{Anchor, Ceilings, Limit, Rates, Rollover, Scope},
    plan::{Interval, PlanContent, PlanPrice},
    prices::PriceList,
};

/// Names and values, in the order in which they are shown.
pub(super) type Facts = Vec<(String, String)>;

/// Everything that can be added, changed and removed.
pub(super) fn things(content: &CatalogContent) -> Vec<(String, Facts)> {
    let CatalogContent { default_plan, plans, features, models, ceilings, rates } = content;
    let order: Vec<&str> = plans.iter().map(|(key, _)| key.as_str()).collect();
    let offer = vec![fact("default plan", default_plan), fact("order of plans", order.join(", "))];
    let mut things = vec![("offer".to_owned(), offer)];
    things.extend(plans.iter().map(|(key, plan)| (format!("plan {key}"), of_plan(plan))));
    things.extend(features.iter().map(|(key, feature)| (format!("feature {key}"), of_feature(feature))));
    things.extend(models.iter().map(|(key, model)| (format!("model {key}"), of_model(model))));
    things.push(("ceilings".to_owned(), of_ceilings(ceilings)));
    things.push(("rates".to_owned(), of_rates(*rates)));
    things
}

fn fact(name: impl Into<String>, value: impl ToString) -> (String, String) {
    (name.into(), value.to_string())
}

fn of_plan(plan: &PlanContent) -> Facts {
    let PlanContent {
        name,
        description,
        prices,
        credits,
        rollover,
        limits,
        features,
        models,
        min_output_tokens,
        max_output_tokens,
        max_context_tokens,
        max_members,
        is_metered,
        points_per_minute,
    } = plan;
    let mut facts = vec![fact("name", name)];
    facts.extend(description.as_ref().map(|text| fact("description", text)));
    facts.extend(prices.iter().map(of_price));
    facts.push(fact("credits a period", bound(credits.map(micro))));
    facts.push(fact("credits carried over", carried(*rollover)));
    facts.extend(limits.iter().map(of_limit));
    facts.push(fact("features", names(features)));
    facts.push(fact("models", names(models)));
    facts.push(fact("least output tokens", min_output_tokens));
    facts.push(fact("most output tokens", bound(*max_output_tokens)));
    facts.push(fact("most context tokens", bound(*max_context_tokens)));
    facts.push(fact("most members", bound(*max_members)));
    facts.push(fact("billed afterwards", if *is_metered { "yes" } else { "no" }));
    facts.extend(points_per_minute.map(|points| fact("points a minute", points)));
    facts
}

fn of_price(price: &PlanPrice) -> (String, String) {
    let PlanPrice { interval, currency, amount_minor, trial_days } = price;
    let interval = match interval {
        Interval::Month => "month",
        Interval::Year => "year",
    };
    let amount = Decimal::new(*amount_minor, currency::decimals(currency).unwrap_or(2));
    let trial = if *trial_days > 0 { format!(", {trial_days} days of trial") } else { String::new() };
    fact(format!("price a {interval} in {currency}"), format!("{amount}{trial}"))
}

fn of_limit(limit: &Limit) -> (String, String) {
    let Limit { meter, window, scope, amount, zone, anchor, rollover } = limit;
    let whose = match scope {
        Scope::Account => "the account",
        Scope::Member => "each member",
    };
    let name = format!("limit {}/{} of {whose}", meter.as_str(), window.as_str());
    let mut value = match amount {
        Some(amount) if meter.is_micro() => micro(*amount),
        amount => bound(*amount),
    };
    if *zone != chrono_tz::UTC {
        value += &format!(", zone {zone}");
    }
    value += match anchor {
        Anchor::Calendar => "",
        Anchor::SignUp => ", from the day of joining",
        Anchor::Subscription => ", with the subscription",
    };
    if *rollover != Rollover::None {
        value += &format!(", carried over: {}", carried(*rollover));
    }
    fact(name, value)
}

fn of_feature(feature: &FeatureContent) -> Facts {
    let FeatureContent { name, credits } = feature;
    let credits = credits.map_or("by use".to_owned(), micro);
    vec![fact("name", name), fact("credits", credits)]
}

fn of_model(model: &ModelContent) -> Facts {
    let ModelContent { name, aliases, provider, upstream, context_tokens, max_output_tokens, prices } = model;
    let mut facts = vec![
        fact("name", name),
        fact("provider", provider),
        fact("upstream", upstream),
        fact("aliases", names(aliases)),
        fact("context tokens", context_tokens),
        fact("most output tokens", max_output_tokens),
    ];
    facts.extend(prices.iter().flat_map(of_list));
    facts
}

fn of_list(list: &PriceList) -> Facts {
    let PriceList { from, units } = list;
    let since = from.map_or(String::new(), |from| format!(" from {}", from.format("%Y-%m-%dT%H:%M:%SZ")));
    let of_unit = units.iter().map(|(unit, price)| {
        let cost = price.cost.map_or(String::new(), |cost| format!(", cost {} USD", micro(cost)));
        fact(format!("price of {}{since}", unit.word()), format!("{}{cost}", micro(price.credits)))
    });
    of_unit.collect()
}

fn of_ceilings(ceilings: &Ceilings) -> Facts {
    let Ceilings {
        input_tokens,
        output_tokens,
        parallel,
        account_credits_a_day,
        deployment_credits_a_day,
        alarm_percent,
    } = ceilings;
    vec![
        fact("input tokens of a call", bound(*input_tokens)),
        fact("output tokens of a call", bound(*output_tokens)),
        fact("answers at once of a member", bound(*parallel)),
        fact("credits a day of an account", bound(account_credits_a_day.map(micro))),
        fact("credits a day of the deployment", bound(deployment_credits_a_day.map(micro))),
        fact("alarm at percent", alarm_percent),
    ]
}

fn of_rates(rates: Rates) -> Facts {
    let Rates { requests_per_minute_by_address, points_per_minute, anonymous_points_per_minute } = rates;
    vec![
        fact("requests a minute of an address", requests_per_minute_by_address),
        fact("points a minute of a person", points_per_minute),
        fact("points a minute of an address", anonymous_points_per_minute),
    ]
}

fn bound(amount: Option<impl ToString>) -> String {
    amount.map_or("unlimited".to_owned(), |amount| amount.to_string())
}

fn carried(rollover: Rollover) -> String {
    match rollover {
        Rollover::None => "none".to_owned(),
        Rollover::Capped { percent } => format!("{percent}% of a period"),
        Rollover::Unlimited => "unlimited".to_owned(),
    }
}

/// An amount in millionths, as people write it.
fn micro(amount: i64) -> String {
    Decimal::new(amount, 6).normalize().to_string()
}

fn names(names: &BTreeSet<String>) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}
