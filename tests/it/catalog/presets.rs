//! The presets say exactly what the products say that they stand for. The numbers here are written down from those
//! products, not read from the files.

use std::collections::BTreeSet;

use loquent::domains::catalog::{
    CatalogContent, Interval, Limit, Meter, PlanContent, Preset, PriceUnit, Rollover, Scope, Window,
};

const UNLIMITED: Option<i64> = None;

/// Key, messages a day, most tokens, models and features.
type Tier<'a> = (&'a str, Option<i64>, u32, &'a [&'a str], &'a [&'a str]);

fn content(preset: Preset) -> CatalogContent {
    preset.content().unwrap_or_else(|faults| panic!("{}: {faults}", preset.name()))
}

fn plan<'a>(content: &'a CatalogContent, key: &str) -> &'a PlanContent {
    let found = content.plans.iter().find(|(own, _)| own == key);
    found.map(|(_, plan)| plan).unwrap_or_else(|| panic!("there is no plan {key}"))
}

fn keys(content: &CatalogContent) -> Vec<&str> {
    content.plans.iter().map(|(key, _)| key.as_str()).collect()
}

/// All limits of a plan, in any order.
fn limits(plan: &PlanContent) -> BTreeSet<(Meter, Window, Scope, Option<i64>)> {
    let found: BTreeSet<_> =
        plan.limits.iter().map(|limit| (limit.meter, limit.window, limit.scope, limit.amount)).collect();
    assert_eq!(found.len(), plan.limits.len());
    found
}

fn names(set: &BTreeSet<String>) -> Vec<&str> {
    set.iter().map(String::as_str).collect()
}

/// What the built-in model is may be called on every plan; it is no model of the product.
fn models(plan: &PlanContent) -> Vec<&str> {
    plan.models.iter().map(String::as_str).filter(|key| *key != "echo").collect()
}

fn credits(whole: i64) -> Option<i64> {
    Some(whole * 1_000_000)
}

fn a_minute(llm: i64, images: i64) -> [(Meter, Window, Scope, Option<i64>); 2] {
    [
        (Meter::LlmRequests, Window::Minute, Scope::Member, Some(llm)),
        (Meter::ImageRequests, Window::Minute, Scope::Member, Some(images)),
    ]
}

fn messages_a_day(amount: Option<i64>) -> [(Meter, Window, Scope, Option<i64>); 2] {
    [
        (Meter::Messages, Window::Day, Scope::Member, amount),
        (Meter::Conversations, Window::Day, Scope::Member, UNLIMITED),
    ]
}

#[test]
fn every_preset_can_be_read_and_offers_its_default_plan() {
    for preset in Preset::ALL {
        let content = content(preset);
        plan(&content, &content.default_plan);
        assert_eq!(content.rates.requests_per_minute_by_address, 100, "{}", preset.name());
        for (_, plan) in &content.plans {
            assert!(plan.limits.iter().all(|limit| limit.zone == chrono_tz::UTC));
            assert_eq!(plan.min_output_tokens, 64);
        }
    }
}

#[test]
fn tavern_counts_calls_by_kind() {
    let content = content(Preset::Tavern);
    assert_eq!(keys(&content), ["free", "pro", "enterprise"]);
    assert_eq!(content.default_plan, "free");
    assert!(content.features.is_empty() && content.models.is_empty());
    // Calls a minute of language and image models; calls a day of language, image and voice models.
    let table = [
        ("free", [10, 5], [Some(3), Some(2), Some(5)]),
        ("pro", [60, 30], [Some(100), Some(50), Some(200)]),
        ("enterprise", [300, 150], [UNLIMITED; 3]),
    ];
    for (key, [llm, images], [llm_day, image_day, voice_day]) in table {
        let plan = plan(&content, key);
        let mut expected = BTreeSet::from(a_minute(llm, images));
        expected.extend([
            (Meter::LlmRequests, Window::Day, Scope::Account, llm_day),
            (Meter::ImageRequests, Window::Day, Scope::Account, image_day),
            (Meter::VoiceRequests, Window::Day, Scope::Account, voice_day),
        ]);
        assert_eq!(limits(plan), expected, "{key}");
        assert_eq!((plan.credits, plan.max_output_tokens), (None, None));
        assert!(plan.prices.is_empty());
    }
}

#[test]
fn airi_counts_messages_and_caps_tokens() {
    let content = content(Preset::Airi);
    assert_eq!(keys(&content), ["free", "pro", "enterprise"]);
    assert_eq!(content.default_plan, "free");
    let all = ["*"];
    let table: [Tier<'_>; 3] = [
        ("free", Some(20), 2_000, &["gpt-3.5-turbo"], &["chat"]),
        (
            "pro",
            Some(200),
            8_000,
            &["gpt-3.5-turbo", "gpt-4", "gpt-4-turbo-preview"],
            &["chat", "images", "voice"],
        ),
        ("enterprise", UNLIMITED, 32_000, &all, &["api", "chat", "images", "priority", "voice"]),
    ];
    for (key, messages, tokens, included, features) in table {
        let plan = plan(&content, key);
        assert_eq!(limits(plan), BTreeSet::from(messages_a_day(messages)), "{key}");
        assert_eq!((plan.max_output_tokens, plan.credits), (Some(tokens), None), "{key}");
        assert_eq!(
            (models(plan).as_slice(), names(&plan.features).as_slice()),
            (included, features),
            "{key}"
        );
        assert!(plan.prices.is_empty());
    }
    // Provider, most tokens out, and US dollars for a million tokens in either direction: a thousand times that for 1,000.
    let table = [
        ("gpt-4-turbo-preview", "openai", 4_096, 10_000_000),
        ("gpt-4", "openai", 8_192, 30_000_000),
        ("gpt-3.5-turbo", "openai", 4_096, 1_500_000),
        ("claude-3-opus", "anthropic", 4_096, 15_000_000),
        ("claude-3-sonnet", "anthropic", 4_096, 3_000_000),
        ("mixtral-8x7b", "groq", 32_768, 600_000),
    ];
    assert_eq!(content.models.len(), table.len());
    for (key, provider, tokens, micro_usd) in table {
        let model = &content.models[key];
        assert_eq!((model.provider.as_str(), model.max_output_tokens), (provider, tokens), "{key}");
        let [list] = &model.prices[..] else { panic!("{key} has one list of prices") };
        for unit in [PriceUnit::InputToken, PriceUnit::OutputToken] {
            assert_eq!(list.units[&unit].cost, Some(micro_usd), "{key}");
            assert_eq!(list.units[&unit].credits, micro_usd, "{key}");
        }
    }
}

#[test]
fn studiox_grants_credits_and_prices_abilities() {
    let content = content(Preset::Studiox);
    assert_eq!(keys(&content), ["free", "pro", "enterprise"]);
    assert_eq!(content.default_plan, "free");
    for (key, granted) in [("free", credits(10)), ("pro", credits(100)), ("enterprise", UNLIMITED)] {
        let plan = plan(&content, key);
        assert_eq!((plan.credits, plan.rollover), (granted, Rollover::None), "{key}");
        assert!(plan.limits.is_empty() && plan.prices.is_empty());
    }
    let costs: Vec<(&str, Option<i64>)> =
        content.features.iter().map(|(key, feature)| (key.as_str(), feature.credits)).collect();
    let expected =
        [("advanced_editing", credits(3)), ("image_analysis", credits(1)), ("video_generation", credits(5))];
    assert_eq!(costs, expected);
    let counts = ["free", "pro", "enterprise"].map(|key| plan(&content, key).features.len());
    assert_eq!(counts, [1, 2, 3], "limited, standard and all");
}

#[test]
fn metered_includes_nothing_and_refuses_nothing() {
    let content = content(Preset::Metered);
    assert_eq!(
        (keys(&content).as_slice(), content.default_plan.as_str()),
        (["metered"].as_slice(), "metered")
    );
    let plan = plan(&content, "metered");
    assert!(plan.is_metered && plan.prices.is_empty());
    assert_eq!(plan.credits, None);
    let expected = BTreeSet::from([
        (Meter::Cost, Window::Period, Scope::Account, UNLIMITED),
        (Meter::Tokens, Window::Period, Scope::Account, UNLIMITED),
    ]);
    assert_eq!(limits(plan), expected);
}

#[test]
fn framium_sells_tokens_models_and_agent_mode() {
    let content = content(Preset::Framium);
    assert_eq!(keys(&content), ["none", "basic", "max", "beast"]);
    let nobody = plan(&content, &content.default_plan);
    assert_eq!(limits(nobody), BTreeSet::from([(Meter::Tokens, Window::Period, Scope::Account, Some(0))]));
    assert!(models(nobody).is_empty() && nobody.features.is_empty() && nobody.prices.is_empty());

    // Name, US cents a month, tokens a month, agent mode.
    let table = [
        ("basic", "BASIC", 900, 50_000, false),
        ("max", "MAX", 2_900, 250_000, false),
        ("beast", "BEAST", 9_900, 1_000_000, true),
    ];
    for (key, name, cents, tokens, has_agent_mode) in table {
        let plan = plan(&content, key);
        let [price] = &plan.prices[..] else { panic!("{key} has one price") };
        assert_eq!((plan.name.as_str(), price.amount_minor), (name, cents));
        assert_eq!((price.interval, price.currency.as_str(), price.trial_days), (Interval::Month, "USD", 0));
        let [Limit { meter, window, scope, amount, rollover, .. }] = &plan.limits[..] else {
            panic!("{key}")
        };
        assert_eq!(
            (*meter, *window, *scope, *amount),
            (Meter::Tokens, Window::Period, Scope::Account, Some(tokens))
        );
        assert_eq!(*rollover, Rollover::Capped { percent: 100 }, "what is left is carried over once");
        assert_eq!(plan.credits, None);
        assert_eq!(plan.features.contains("agent_mode"), has_agent_mode, "{key}");
    }

    // Provider, and the lowest plan that includes it.
    let table = [
        ("gpt-4.1", "openai", "basic"),
        ("gpt-4o", "openai", "max"),
        ("gpt-4-turbo", "openai", "max"),
        ("claude-3.7-sonnet", "anthropic", "basic"),
        ("claude-3.5-sonnet", "anthropic", "max"),
        ("claude-4.1-opus", "anthropic", "beast"),
        ("gemini-pro", "google", "max"),
        ("gemini-2.5-pro", "google", "beast"),
    ];
    assert_eq!(content.models.len(), table.len());
    let order = ["basic", "max", "beast"];
    for (model, provider, lowest) in table {
        assert_eq!(content.models[model].provider, provider);
        let first = order.into_iter().find(|key| {
            let models = models(plan(&content, key));
            models.contains(&model) || models.contains(&"*")
        });
        assert_eq!(first, Some(lowest), "{model}");
    }
    assert_eq!((models(plan(&content, "basic")).len(), models(plan(&content, "max")).len()), (2, 6));
}

#[test]
fn the_default_is_the_union_of_the_first_three() {
    let content = content(Preset::Default);
    assert_eq!(keys(&content), ["free", "pro", "enterprise"]);
    assert_eq!(content.default_plan, "free");
    let table = [
        ("free", [10, 5], Some(20), 2_000, credits(10)),
        ("pro", [60, 30], Some(200), 8_000, credits(100)),
        ("enterprise", [300, 150], UNLIMITED, 32_000, UNLIMITED),
    ];
    for (key, [llm, images], messages, tokens, granted) in table {
        let plan = plan(&content, key);
        let mut expected = BTreeSet::from(a_minute(llm, images));
        expected.extend(messages_a_day(messages));
        assert_eq!(limits(plan), expected, "{key}");
        assert_eq!((plan.max_output_tokens, plan.credits), (Some(tokens), granted), "{key}");
        assert_eq!((plan.rollover, names(&plan.models)), (Rollover::None, vec!["*"]), "{key}");
    }
    let cost = |key: &str| content.features[key].credits;
    assert_eq!(
        (cost("image_analysis"), cost("video_generation"), cost("advanced_editing")),
        (credits(1), credits(5), credits(3))
    );
}
