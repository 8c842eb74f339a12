//! What a file may say: everything that is wrong is named at once, with its line and a way out.

use loquent::{
    config::Fault,
    domains::catalog::{self, Ceilings, Preset, PriceUnit, Rates, Rollover},
};

/// A sound catalogue without its plan, and a plan.
const HEAD: &str = "format = 1\ndefault_plan = \"free\"\n";
const PLAN: &str = "[plans.free]\nname = \"Free\"\ncredits = \"1\"\nmodels = [\"*\"]\n";
const MODEL: &str = "[models.m]\nprovider = \"p\"\ncontext_tokens = 10\nmax_output_tokens = 5\nprices = { input = \"1\", output = \"2\" }\n";

fn faults(text: &str) -> Vec<Fault> {
    match catalog::read("offer.toml", text) {
        Ok(content) => panic!("it must be refused: {text}\n{content:?}"),
        Err(faults) => faults.0,
    }
}

/// The one fault of a sound catalogue with these lines after its plan: key and reason.
fn fault(lines: &str) -> (String, String) {
    let mut faults = faults(&format!("{HEAD}{PLAN}{lines}"));
    assert_eq!(faults.len(), 1, "{lines}: {faults:?}");
    let fault = faults.remove(0);
    assert!(!fault.fix.is_empty());
    (fault.key, fault.why)
}

fn read(text: &str) -> catalog::CatalogContent {
    catalog::read("offer.toml", text).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn what_is_not_said_is_built_in() {
    let content = read(&format!("{HEAD}{PLAN}"));
    assert_eq!((content.ceilings, content.rates), (Ceilings::default(), Rates::default()));
    let (_, plan) = &content.plans[0];
    assert_eq!((plan.credits, plan.min_output_tokens), (Some(1_000_000), 64));
    assert_eq!((plan.max_output_tokens, plan.max_members, plan.rollover), (None, None, Rollover::None));
    assert!(plan.limits.is_empty() && plan.features.is_empty() && !plan.is_metered);
}

#[test]
fn all_faults_of_a_file_are_named_in_one_message() {
    let text = "format = 1\ndefault_plan = \"gold\"\n\n[plans.free]\nname = \"Free\"\ncredits = \"-1\"\nmodels = [\"gpt-*\"]\n\
                max_outputtokens = 5\n\n[models.m]\nprovider = \"p\"\ncontext_tokens = 10\nmax_output_tokens = 50\n\n\
                [models.m.prices]\ninput = \"10000001\"\n";
    let message = catalog::read("offer.toml", text).expect_err("seven faults").to_string();
    let expected = "\
the catalogue has 7 faults, and nothing was changed:

  models.m.max_output_tokens (offer.toml line 13): is larger than the context
    fix: keep it within context_tokens
  models.m.prices.input (offer.toml line 16): is absurdly large
    fix: use at most 10000000
  models.m.prices.output (not set): is missing: no price, no call
    fix: set the credits per 1,000,000 tokens, such as \"0.15\"
  plans.free.credits (offer.toml line 6): is negative
    fix: write a plain decimal with at most 6 decimals, such as \"0.15\", or \"unlimited\"
  plans.free.models (offer.toml line 7): names \"gpt-*\", which is no model
    fix: there are: m, echo
  default_plan (offer.toml line 2): names no plan
    fix: there are: free
  plans.free.max_outputtokens (offer.toml line 8): is no setting
    fix: did you mean plans.free.max_output_tokens?";
    assert_eq!(message, expected);
}

#[test]
fn a_price_is_there_exact_and_sane() {
    let with = |prices: &str| {
        MODEL.replace("prices = { input = \"1\", output = \"2\" }\n", &format!("[models.m.prices]\n{prices}"))
    };
    for (prices, key, why) in [
        ("input = \"1\"", "output", "no price, no call"),
        ("output = \"1\"", "input", "no price, no call"),
        ("input = \"-0.1\"\noutput = \"1\"", "input", "negative"),
        ("input = \"1\"\noutput = \"10000000.1\"", "output", "absurdly"),
        ("input = \"1\"\noutput = \"0.0000001\"", "output", "6 decimals"),
        ("input = \"1\"\noutput = \"1\"\nimage = \"-1\"", "image", "negative"),
        ("input = \"1\"\noutput = \"1\"\ncost_output_usd = \"-1\"", "cost_output_usd", "negative"),
        ("input = \"1\"\noutput = \"1\"\ncost_second_usd = \"1\"", "cost_second_usd", "no price beside it"),
        ("input = \"1\"\noutput = \"1\"\nouput = \"1\"", "ouput", "is no setting"),
        ("input = \"1\"\noutput = \"1\"\ncost_input_usd = \"1\"", "cost_input_usd", "no cost_output_usd"),
        ("input = \"1\"\noutput = \"1\"\nfrom = 2027-01-01", "from", "is no setting"),
    ] {
        let (found, reason) = fault(&with(prices));
        assert_eq!(found, format!("models.m.prices.{key}"), "{prices}");
        assert!(reason.contains(why), "{prices}: {reason}");
    }
    let all = "input = \"1\"\ncached_input = \"0.1\"\ncache_write = \"1.25\"\noutput = \"4\"\nreasoning = \"6\"\n\
               image = \"0.04\"\ncharacter = \"15\"\nsecond = \"0.0001\"\ncost_second_usd = \"0.00005\"\n";
    let content = read(&format!("{HEAD}{PLAN}{}", with(all)));
    let units = &content.models["m"].prices[0].units;
    let micro = PriceUnit::ALL.map(|unit| units[&unit].credits);
    assert_eq!(micro, [1_000_000, 100_000, 1_250_000, 4_000_000, 6_000_000, 40_000, 15_000_000, 100]);
    assert_eq!(units[&PriceUnit::Second].cost, Some(50));
    let free = read(&format!("{HEAD}{PLAN}{}", with("input = \"0\"\noutput = \"0\"")));
    assert_eq!(free.models["m"].prices[0].units[&PriceUnit::CachedInputToken].credits, 0, "as all input");
}

#[test]
fn a_plan_that_counts_the_cost_needs_the_costs_of_its_models() {
    let limit = "[[plans.free.limits]]\nmeter = \"cost\"\nwindow = \"month\"\namount = \"5\"\n";
    let (key, why) = fault(&format!("{limit}{MODEL}"));
    assert_eq!(
        (key.as_str(), why.contains("the model \"m\" is not known")),
        ("plans.free.limits", true),
        "{why}"
    );
    let known =
        MODEL.replace("input = \"1\",", "input = \"1\", cost_input_usd = \"1\", cost_output_usd = \"1\",");
    read(&format!("{HEAD}{PLAN}{limit}{known}"));
}

#[test]
fn prices_with_dates_are_whole_and_in_order() {
    let head = MODEL.replace("prices = { input = \"1\", output = \"2\" }\n", "");
    let list = |lines: &[&str]| {
        let lists =
            lines.iter().map(|line| format!("[[models.m.prices]]\ninput = \"1\"\noutput = \"1\"\n{line}\n"));
        format!("{head}{}", lists.collect::<String>())
    };
    let content =
        read(&format!("{HEAD}{PLAN}{}", list(&["", "from = 2027-02-01", "from = 2027-03-01T09:30:00Z"])));
    let dates: Vec<_> =
        content.models["m"].prices.iter().map(|list| list.from.map(|at| at.to_rfc3339())).collect();
    let expected =
        [None, Some("2027-02-01T00:00:00+00:00".to_owned()), Some("2027-03-01T09:30:00+00:00".to_owned())];
    assert_eq!(dates, expected);
    for (lines, key, why) in [
        (["from = 2027-01-01", "from = 2027-02-01"].as_slice(), "1.from", "first prices"),
        (&["", ""], "2.from", "is missing"),
        (&["", "from = \"soon\""], "2.from", "no date"),
        (&["", "from = 2027-02-01", "from = 2027-02-01"], "3.from", "not after"),
    ] {
        let (found, reason) = fault(&list(lines));
        assert_eq!(found, format!("models.m.prices.{key}"));
        assert!(reason.contains(why), "{reason}");
    }
}

#[test]
fn limits_that_cannot_be_are_refused() {
    for (limit, key, why) in [
        ("meter = \"messages\"\nwindow = \"day\"", "amount", "is missing"),
        ("meter = \"messages\"\nwindow = \"day\"\namount = -1", "amount", "range"),
        ("meter = \"messages\"\nwindow = \"day\"\namount = 1.5", "amount", "range"),
        ("meter = \"credits\"\nwindow = \"day\"\namount = \"-1\"", "amount", "negative"),
        ("meter = \"message\"\nwindow = \"day\"\namount = 1", "meter", "not one of its words"),
        ("meter = \"messages\"\nwindow = \"week\"\namount = 1", "window", "not one of its words"),
        (
            "meter = \"messages\"\nwindow = \"day\"\namount = 1\nscope = \"team\"",
            "scope",
            "not one of its words",
        ),
        ("meter = \"messages\"\nwindow = \"day\"\namount = 1\nzone = \"Mars/Base\"", "zone", "no time zone"),
        ("meter = \"messages\"\nwindow = \"hour\"\namount = 1\nzone = \"UTC\"", "zone", "changes nothing"),
        (
            "meter = \"messages\"\nwindow = \"day\"\namount = 1\nanchor = \"sign_up\"",
            "anchor",
            "changes nothing",
        ),
        ("meter = \"messages\"\nwindow = \"none\"\namount = 1", "window", "at once"),
        ("meter = \"credits\"\nwindow = \"period\"\namount = \"1\"", "window", "credits of the plan"),
        (
            "meter = \"messages\"\nwindow = \"day\"\namount = 1\nrollover = \"100%\"",
            "rollover",
            "tokens and cost",
        ),
        (
            "meter = \"tokens\"\nwindow = \"day\"\namount = 1\nrollover = \"100%\"",
            "rollover",
            "tokens and cost",
        ),
        (
            "meter = \"tokens\"\nwindow = \"period\"\namount = \"unlimited\"\nrollover = \"100%\"",
            "rollover",
            "no amount",
        ),
        (
            "meter = \"tokens\"\nwindow = \"period\"\nscope = \"member\"\namount = 1\nrollover = \"unlimited\"",
            "rollover",
            "of the account",
        ),
        (
            "meter = \"tokens\"\nwindow = \"period\"\namount = 1\nrollover = \"0%\"",
            "rollover",
            "no way to carry over",
        ),
        ("meter = \"messages\"\nwindow = \"day\"\namount = 1\nburst = 3", "burst", "is no setting"),
    ] {
        let (found, reason) = fault(&format!("[[plans.free.limits]]\n{limit}\n"));
        assert_eq!(found, format!("plans.free.limits.1.{key}"), "{limit}");
        assert!(reason.contains(why), "{limit}: {reason}");
    }
    let one = "[[plans.free.limits]]\nmeter = \"messages\"\nwindow = \"day\"\namount = 1\n";
    assert_eq!(fault(&one.repeat(2)).0, "plans.free.limits.2.meter");
    let both = format!("{one}{}scope = \"member\"\n", one);
    assert_eq!(read(&format!("{HEAD}{PLAN}{both}")).plans[0].1.limits.len(), 2);
}

#[test]
fn plans_features_and_names_fit_together() {
    let price = "[[plans.free.prices]]\ninterval = \"month\"\ncurrency = \"USD\"\namount = \"9\"\n";
    let second = MODEL.replace("models.m]", "models.n]");
    for (lines, key, why) in [
        ("features = [\"voice\"]".to_owned(), "plans.free.features", "\"voice\", which is no feature"),
        ("max_output_tokens = 63".to_owned(), "plans.free.max_output_tokens", "less than min_output_tokens"),
        ("rollover = \"most\"".to_owned(), "plans.free.rollover", "no way to carry over"),
        (price.replace("\"9\"", "\"9.001\""), "plans.free.prices.1.amount", "more exact than the currency"),
        (price.replace("USD", "usd"), "plans.free.prices.1.currency", "no code of a currency"),
        (price.repeat(2), "plans.free.prices.2.interval", "already"),
        ("[ceilings]\nparallel = 0".to_owned(), "ceilings.parallel", "range"),
        ("[ceilings]\nalarm_percent = 101".to_owned(), "ceilings.alarm_percent", "range"),
        (
            "[rates]\nrequests_per_minute_by_address = 0".to_owned(),
            "rates.requests_per_minute_by_address",
            "range",
        ),
        ("[rates]\nrequests = 1".to_owned(), "rates.requests", "is no setting"),
        ("[features.voice]\ncredits = \"1\"".to_owned(), "features.voice.name", "is missing"),
        ("[models.echo]\n".to_owned() + MODEL.split_once('\n').unwrap().1, "models.echo", "built in"),
        (format!("{MODEL}aliases = [\"echo\"]"), "models.m.aliases", "name of the model \"echo\""),
        (format!("{MODEL}aliases = [\"n\"]\n{second}"), "models.m.aliases", "name of the model \"n\""),
        (
            format!("{MODEL}aliases = [\"x\"]\n{second}aliases = [\"x\"]"),
            "models.n.aliases",
            "name of the model \"m\"",
        ),
        (MODEL.replace("models.m]", "models.\"M m\"]"), "models.\"M m\"", "not a plain key"),
        ("[plan.pro]\nname = \"Pro\"".to_owned(), "plan.pro.name", "is no setting"),
    ] {
        let (found, reason) = fault(&format!("{lines}\n"));
        assert_eq!(found, key, "{lines}");
        assert!(reason.contains(why), "{lines}: {reason}");
    }
    for (text, key) in [
        (PLAN.to_owned(), "format"),
        (format!("format = 2\ndefault_plan = \"free\"\n{PLAN}"), "format"),
        (format!("format = 1\n{PLAN}"), "default_plan"),
        ("format = 1\n".to_owned(), "default_plan"),
        (HEAD.to_owned(), "default_plan"),
        (format!("extends = \"gold\"\n{HEAD}{PLAN}"), "extends"),
    ] {
        let found = faults(&text);
        assert!(found.iter().any(|fault| fault.key == key), "{text}: {found:?}");
    }
    let twice = faults(&format!("default_plan = \"free\"\n{HEAD}{PLAN}"));
    assert!(twice[0].why.contains("not valid TOML"), "{twice:?}");
    let cut = faults(&format!("{HEAD}{PLAN}{}", MODEL.replace("models.m]", "models.gpt-4.1]")));
    assert!(cut.iter().any(|fault| fault.fix.contains("quotes")), "{cut:?}");
    assert_eq!(
        read(&format!("{HEAD}{PLAN}{}", price.replace("USD", "JPY"))).plans[0].1.prices[0].amount_minor,
        9
    );
}

#[test]
fn a_file_may_begin_with_a_preset() {
    let text = "format = 1\nextends = \"default\"\n[ceilings]\nparallel = 7\n[features.chat]\nname = \"Talk\"\n\
                [plans.pro]\nname = \"Pro\"\ncredits = \"500\"\nmodels = [\"*\"]\nrates.points_per_minute = 20000\n\
                [plans.gold]\nname = \"Gold\"\ncredits = \"unlimited\"\nmodels = [\"*\"]\n";
    let (own, preset) = (read(text), Preset::Default.content().unwrap());
    let keys: Vec<&str> = own.plans.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["free", "pro", "enterprise", "gold"], "what is replaced stays in its place");
    assert_eq!(own.default_plan, "free");
    assert_eq!((&own.plans[0], &own.plans[2]), (&preset.plans[0], &preset.plans[2]));
    let (_, pro) = &own.plans[1];
    assert_eq!(
        (pro.credits, pro.limits.len(), pro.features.len()),
        (Some(500_000_000), 0, 0),
        "all of it is new"
    );
    assert_eq!(pro.points_per_minute, Some(20_000));
    assert_eq!(own.ceilings, Ceilings { parallel: Some(7), ..preset.ceilings });
    assert_eq!((own.features["chat"].name.as_str(), own.features.len()), ("Talk", preset.features.len()));
    let wrong = faults(&format!("{text}[plans.free]\nname = \"Free\"\n"));
    assert!(wrong.iter().all(|fault| fault.key.starts_with("plans.free.")), "{wrong:?}");
}

#[test]
fn the_example_of_the_handbook_is_a_catalogue() {
    let handbook = include_str!("../../../docs/OPERATIONS.md");
    let (_, rest) = handbook.split_once("```toml\nformat = 1").expect("it shows one");
    let (example, _) = rest.split_once("```").expect("which ends");
    let content = read(&format!("format = 1{example}"));
    assert_eq!(content.models["gpt-4.1"].prices.len(), 2);
    assert_eq!(content.plans[0].1.points_per_minute, Some(5_000));
}
