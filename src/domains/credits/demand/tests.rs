use std::collections::BTreeSet;

use chrono_tz::Tz;

use super::*;
use crate::domains::{
    catalog::{Anchor, Limit, PlanContent, Prices, Rollover, Scope, Window},
    credits::{quota::CountScope, windows},
};

fn now() -> DateTime<Utc> {
    "2026-05-05T12:00:00Z".parse().unwrap()
}

fn plan(models: &str, credits: Option<i64>, limits: Vec<Limit>) -> Plan {
    let content = PlanContent {
        name: "Plan".into(),
        description: None,
        prices: Vec::new(),
        credits,
        rollover: Rollover::None,
        limits,
        features: BTreeSet::new(),
        models: BTreeSet::from([models.to_owned()]),
        min_output_tokens: 100,
        max_output_tokens: None,
        max_context_tokens: None,
        max_members: None,
        is_metered: false,
        points_per_minute: None,
    };
    Plan { id: Uuid::nil(), key: "plan".into(), version: 1, is_offered: true, content }
}

fn limit(meter: Meter, window: Window, amount: i64) -> Limit {
    let (zone, anchor, rollover) = (Tz::UTC, Anchor::Calendar, Rollover::None);
    Limit { meter, window, scope: Scope::Account, amount: Some(amount), zone, anchor, rollover }
}

fn count(meter: Meter, window: Window, used: i64, held: i64) -> Count {
    let scope = CountScope::Account;
    Count { meter, window, scope, limit: None, used, held, resets_at: None, revision: 1, at: now() }
}

/// One token is one micro-credit: 10 in, and 100 out at the floor.
fn model() -> Model {
    let each = 1_000_000;
    let prices = Prices { input: each, cached_input: each, cache_write: each, output: each, reasoning: each };
    Model {
        id: Uuid::nil(),
        key: "small".into(),
        aliases: Vec::new(),
        name: "Small".into(),
        provider: "p".into(),
        upstream_name: "small".into(),
        context_tokens: 10_000,
        max_output_tokens: 1_000,
        prices,
        costs: None,
        unit_prices: Vec::new(),
    }
}

fn demand(plan: &Plan) -> Demand {
    let period = windows::month_since(now(), now());
    let anchors = Anchors { sign_up: now(), subscription: now(), period, terms: 0 };
    let quote = Quote::new(&Call {
        model: &model(),
        plan,
        ceilings: &Ceilings::default(),
        anchors: &anchors,
        now: now(),
        until: now(),
        user_id: Uuid::nil(),
        prompt_tokens: 10,
        wanted: None,
        is_new_conversation: true,
    });
    Demand::clone(quote.demand())
}

#[test]
fn a_plan_is_an_upgrade_only_when_the_whole_call_passes_on_it() {
    use Meter::{Messages, Tokens};
    use Window::{Day, Minute, Month};
    let mine = plan("small", Some(50), vec![limit(Messages, Day, 2)]);
    let demand = demand(&mine);
    let counts = [count(Messages, Day, 2, 1), count(Tokens, Month, 400, 100)];
    let means = Means { balance: Balance { available: 60, held: 0, revision: 1 }, counts: &counts };
    let rich = |models, limits| plan(models, Some(1_000), limits);
    let mut dear = rich("*", Vec::new());
    dear.content.min_output_tokens = 950;
    for (name, other, is_upgrade) in [
        ("its own", mine.clone(), false),
        ("a higher limit", rich("small", vec![limit(Messages, Day, 4)]), true),
        ("what is used and held is all of it", rich("small", vec![limit(Messages, Day, 3)]), false),
        ("no limit", rich("sm*", Vec::new()), true),
        ("not the model", rich("large", Vec::new()), false),
        ("110 tokens beside 500", rich("*", vec![limit(Tokens, Month, 610)]), true),
        ("a token too few", rich("*", vec![limit(Tokens, Month, 609)]), false),
        ("a window in which nothing was counted", rich("*", vec![limit(Messages, Minute, 1)]), true),
        ("nothing at all", rich("*", vec![limit(Messages, Minute, 0)]), false),
        ("50 credits more and so 110", plan("*", Some(100), Vec::new()), true),
        ("a credit too few", plan("*", Some(99), Vec::new()), false),
        ("calls are counted", plan("*", None, Vec::new()), true),
        ("a floor of 950 and 1010 credits", dear.clone(), true),
    ] {
        let passes = demand.passes_on(&other, Some(&model()), &Ceilings::default(), means);
        assert_eq!(passes, is_upgrade, "{name}");
    }
    dear.content.credits = Some(900);
    assert!(!demand.passes_on(&dear, Some(&model()), &Ceilings::default(), means), "below its floor");
    let closed = Ceilings { parallel: Some(0), ..Ceilings::default() };
    let best = plan("*", None, Vec::new());
    assert!(!demand.passes_on(&best, Some(&model()), &closed, means), "a ceiling is the same on every plan");
    assert!(!demand.passes_on(&best, None, &Ceilings::default(), means), "the model is gone");
}
