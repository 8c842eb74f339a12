//! Property over every offer that comes with the product: whatever a call uses within its prompt and the cap that is sent
//! upstream costs no more than what is held for it, in every meter.

use std::time::Duration;

use chrono::{DateTime, Utc};
use loquent::{
    domains::{
        catalog::{Catalog, Ceilings, Meter, Model, Plan, Preset},
        credits::{Anchors, Call, Quote, Usage, UsageSource, month_since},
        settings::{BuiltIn, Settings},
    },
    platform::{
        clock::Clock,
        postgres::{Db, pool::PoolSettings},
    },
    providers::types::Funding,
};
use proptest::{
    option,
    prelude::*,
    test_runner::{Config, TestCaseResult, TestRng, TestRunner},
};
use serde_json::Value;
use uuid::Uuid;

use super::is_full_size;
use crate::support::{catalog::apply, db::TestDb};

/// What a caller may choose, and what comes of it.
#[derive(Debug, Clone)]
struct Options {
    max_output_tokens: Option<u32>,
    /// In micro-credits.
    max_credits: Option<i64>,
    /// Size of the prompt, as a share of the largest there may be.
    prompt: f64,
    /// How much of the cap the balance and the limits pay for, beyond the least.
    payable: f64,
    /// Shares of the prompt that came from the cache, of its rest that went into it, of the cap that was used, and of that
    /// for reasoning.
    cached: f64,
    written: f64,
    used: f64,
    reasoning: f64,
}

fn options() -> impl Strategy<Value = Options> {
    let share = || prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0];
    let credits = option::of(prop_oneof![0_i64..100_000, 0_i64..1_000_000_000]);
    let output = option::of(prop_oneof![0_u32..200, 0_u32..300_000]);
    (output, credits, share(), share(), share(), share(), share(), share()).prop_map(
        |(max_output_tokens, max_credits, prompt, payable, cached, written, used, reasoning)| Options {
            max_output_tokens,
            max_credits,
            prompt,
            payable,
            cached,
            written,
            used,
            reasoning,
        },
    )
}

fn part(whole: u32, share: f64) -> u32 {
    ((f64::from(whole) * share) as u32).min(whole)
}

async fn open(url: &str, preset: Preset) -> Catalog {
    apply(url, preset.text()).await;
    let db = Db::try_new(url, PoolSettings { name: "test", size: 2, wait: Duration::from_secs(10) }).unwrap();
    let built_in = BuiltIn { default_model: "echo".to_owned(), models: Vec::new() };
    let settings = Settings::new(db.clone(), built_in);
    let providers: Vec<String> =
        preset.content().unwrap().models.into_values().map(|model| model.provider).collect();
    Catalog::start(&db, &Clock::default(), providers, settings).await.unwrap()
}

/// What a line holds for a cap of so many tokens; `ledger_hold` counts the same.
fn held(line: &Value, units: u32) -> i128 {
    let number = |name: &str| i128::from(line[name].as_i64().unwrap_or_else(|| panic!("{line}")));
    number("fixed") + (number("rate") * i128::from(units) + 999_999) / 1_000_000
}

/// One call of a model on a plan; true when its options allow it.
fn assert_covered(
    model: &Model,
    plan: &Plan,
    ceilings: &Ceilings,
    options: &Options,
) -> Result<bool, TestCaseError> {
    let now: DateTime<Utc> = "2026-05-05T12:00:00Z".parse().unwrap();
    let anchors = Anchors { sign_up: now, subscription: now, period: month_since(now, now), terms: 0 };
    let most = Call::output_cap(model, plan, ceilings);
    let prompt_tokens = part(model.context_tokens.min(Call::input_cap(plan, ceilings)), options.prompt);
    let wished = options.max_output_tokens.unwrap_or(most).min(model.context_tokens - prompt_tokens);
    let quote = Quote::new(&Call {
        model,
        plan,
        ceilings,
        anchors: &anchors,
        now,
        until: anchors.period.ends,
        user_id: Uuid::from_u128(1),
        prompt_tokens,
        wanted: Some(wished),
        is_new_conversation: true,
    });
    let quote = match options.max_credits {
        None => Some(quote),
        Some(limit) => quote.at_most(limit),
    };
    let Some(quote) = quote else { return Ok(false) };
    prop_assert!(quote.min <= quote.wanted && quote.wanted <= wished.min(most));
    let units = quote.min + part(quote.wanted - quote.min, options.payable);
    let (lines, terms) = (quote.lines(), quote.terms);
    let hold = quote.admitted(Uuid::from_u128(2), i64::from(units), 0);
    let cap = hold.output_cap();
    hold.abandon();
    prop_assert_eq!(cap, units, "what is sent upstream is what was admitted");
    let (cached, used) = (part(prompt_tokens, options.cached), part(cap, options.used));
    let written = part(prompt_tokens - cached, options.written);
    let reasoning = part(used, options.reasoning);
    let usage = Usage {
        input: prompt_tokens - cached - written,
        cached_input: cached,
        cache_write: written,
        output: used - reasoning,
        reasoning,
        source: UsageSource::Provider,
    };
    let mut has_credits = false;
    for line in lines.as_array().unwrap() {
        let meter = Meter::parse(line["meter"].as_str().unwrap()).unwrap();
        has_credits |= meter == Meter::Credits;
        let real = match meter {
            Meter::Credits => terms.credits(&usage),
            Meter::Tokens => usage.tokens(),
            Meter::Cost => terms.cost(&usage),
            _ => 1,
        };
        prop_assert!(i128::from(real) <= held(line, cap), "{real} of {usage:?} exceed {line}");
    }
    prop_assert!(has_credits, "every call holds credits, if only to count them");
    if let Some(limit) = options.max_credits {
        prop_assert!(terms.credits(&usage) <= limit);
    }
    Ok(true)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_preset_holds_what_the_cap_sent_upstream_may_cost() {
    let db = TestDb::create().await;
    let cases = if is_full_size() { 20_000 } else { 500 };
    let config = Config { failure_persistence: None, ..Config::with_cases(cases) };
    let mut checked = 0;
    for preset in Preset::ALL {
        let catalog = open(&db.url, preset).await;
        let (ceilings, mut pairs) = (catalog.ceilings(), 0);
        for plan in catalog.plans() {
            for model in catalog.models().iter().filter(|model| plan.allows(model)) {
                let rng = TestRng::deterministic_rng(config.rng_algorithm);
                let mut runner = TestRunner::new_with_rng(config.clone(), rng);
                let count = std::cell::Cell::new(0_u32);
                let outcome = runner.run(&options(), |options| -> TestCaseResult {
                    let is_admitted = assert_covered(model, &plan, &ceilings, &options)?;
                    count.set(count.get() + u32::from(is_admitted));
                    Ok(())
                });
                let admitted = count.get();
                outcome
                    .unwrap_or_else(|error| panic!("{} {} {}: {error}", preset.name(), plan.key, model.key));
                assert!(admitted >= cases / 4, "{} {}: only {admitted} calls", plan.key, model.key);
                checked += admitted;
                pairs += 1;
            }
        }
        assert!(pairs >= catalog.plans().len(), "every plan of {} reaches a model", preset.name());
        println!("holds cover the cap preset={} pairs={pairs} ok", preset.name());
    }
    println!("holds cover the cap n={checked} ok");
    db.close().await;
}
