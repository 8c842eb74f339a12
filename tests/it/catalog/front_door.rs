//! What the other domains ask the catalogue.

use std::time::Duration;

use loquent::{
    domains::{
        catalog::{Catalog, Prices},
        settings::{BuiltIn, Settings},
    },
    platform::{
        clock::Clock,
        postgres::{Db, pool::PoolSettings},
    },
};

use crate::support::{catalog::apply, db::TestDb};

const OFFER: &str = "format = 1\ndefault_plan = \"small\"\n[rates]\npoints_per_minute = 500\n[ceilings]\nparallel = \"unlimited\"\n\
    [models.gpt-large]\nprovider = \"p\"\ncontext_tokens = 1000\nmax_output_tokens = 100\n\
    [[models.gpt-large.prices]]\ninput = \"1\"\noutput = \"2\"\ncost_input_usd = \"0.5\"\ncost_output_usd = \"1\"\n\
    [[models.gpt-large.prices]]\nfrom = 2999-01-01\ninput = \"1\"\noutput = \"3\"\n\
    [models.detailed]\nprovider = \"p\"\ncontext_tokens = 1000\nmax_output_tokens = 100\n\
    [models.detailed.prices]\ninput = \"1\"\ncached_input = \"0.1\"\ncache_write = \"1.25\"\noutput = \"2\"\nreasoning = \"3\"\n\
    cost_input_usd = \"0.5\"\ncost_cache_write_usd = \"0.6\"\ncost_output_usd = \"1\"\n\
    [models.tiny]\nprovider = \"p\"\ncontext_tokens = 1000\nmax_output_tokens = 100\nprices = { input = \"1\", output = \"2\" }\n\
    [plans.small]\nname = \"Small\"\ncredits = \"1\"\nmodels = [\"tiny\"]\n\
    [plans.large]\nname = \"Large\"\ncredits = \"5\"\nmodels = [\"echo\", \"gpt-*\"]\nrates = { points_per_minute = 900 }\n";

async fn open(url: &str) -> Catalog {
    let db = Db::try_new(url, PoolSettings { name: "test", size: 2, wait: Duration::from_secs(10) }).unwrap();
    let built_in = BuiltIn { default_model: "gone".to_owned(), models: Vec::new() };
    let settings = Settings::new(db.clone(), built_in);
    Catalog::start(&db, &Clock::default(), ["p".to_owned()], settings).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_is_at_hand_and_the_newest_is_offered() {
    let db = TestDb::create().await;
    apply(&db.url, OFFER).await;
    let before = open(&db.url).await.plan_by_key("large").unwrap();
    apply(&db.url, &OFFER.replace("credits = \"5\"", "credits = \"6\"")).await;
    let catalog = open(&db.url).await;
    let after = catalog.plan_by_key("large").unwrap();
    assert_eq!((before.version, after.version), (1, 2));
    let kept = catalog.plan(before.id).unwrap();
    assert_eq!((kept.content.credits, kept.is_offered), (Some(5_000_000), false));
    assert_eq!((after.content.credits, after.is_offered), (Some(6_000_000), true));
    let keys: Vec<String> = catalog.plans().iter().map(|plan| plan.key.clone()).collect();
    assert_eq!(keys, ["small", "large"]);
    assert_eq!(catalog.default_plan().key, "small");
    assert!(
        catalog.plan_by_key("default").is_none(),
        "the one that was there before is not offered any more"
    );
    assert_eq!(
        (catalog.points_per_minute(&after), catalog.points_per_minute(&catalog.default_plan())),
        (900, 500)
    );
    assert_eq!(catalog.ceilings().parallel, None);
    assert_eq!(catalog.default_model(), "echo", "which stands in for one that is not there");
}

#[tokio::test(flavor = "multi_thread")]
async fn models_have_the_prices_of_the_instant_and_belong_to_plans() {
    let db = TestDb::create().await;
    apply(&db.url, OFFER).await;
    let catalog = open(&db.url).await;
    let model = |key: &str| catalog.find_model(key).unwrap();
    let large = model("gpt-large");
    let plain =
        |input, output| Prices { input, cached_input: input, cache_write: input, output, reasoning: output };
    assert_eq!(
        large.prices,
        plain(1_000_000, 2_000_000),
        "what has no price of its own costs as much as all of its kind"
    );
    assert_eq!(large.costs, Some(plain(500_000, 1_000_000)));
    let detailed = model("detailed");
    let prices = Prices {
        input: 1_000_000,
        cached_input: 100_000,
        cache_write: 1_250_000,
        output: 2_000_000,
        reasoning: 3_000_000,
    };
    assert_eq!(detailed.prices, prices);
    let costs = Prices { cache_write: 600_000, cached_input: 500_000, ..plain(500_000, 1_000_000) };
    assert_eq!(detailed.costs, Some(costs));
    assert_eq!(model("tiny").costs, None, "what the provider charges is not known");
    for (plan, included) in [("small", [false, false, true]), ("large", [true, true, false])] {
        let plan = catalog.plan_by_key(plan).unwrap();
        assert_eq!(
            ["echo", "gpt-large", "tiny"].map(|key| plan.allows(&model(key))),
            included,
            "{}",
            plan.key
        );
    }
}
