//! What a change of the catalogue does to plans, prices and those who have them.

use std::{
    future::poll_fn,
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use futures_util::future::join_all;
use loquent::{
    domains::catalog::{self, Mode, Source},
    platform::{
        clock::Clock,
        postgres::{Db, pool::PoolSettings},
    },
};
use serde_json::{Value, json};

use crate::support::{
    app::TestApp,
    catalog::{Offer, apply},
    db::TestDb,
    rows::{connect, row, rows},
};

async fn plans(url: &str) -> Vec<Value> {
    let query = "SELECT key, version, is_offered AS offered, is_default AS \"default\" FROM plans ORDER BY key, version";
    rows(&mut connect(url).await, query).await
}

fn plan(key: &str, version: i32, offered: bool, default: bool) -> Value {
    json!({ "key": key, "version": version, "offered": offered, "default": default })
}

const PRO: &str = "[plans.pro]\nname = \"Pro\"\ncredits = \"500\"\nmodels = [\"*\"]\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_changes_is_a_new_version_and_one_that_stays_keeps_its_row() {
    let db = TestDb::create().await;
    assert_eq!(plans(&db.url).await, [plan("default", 1, true, true)]);
    let with_pro = Offer::default().with(PRO);
    assert_eq!(with_pro.apply(&db.url).await.version, 2);
    let id = |key: &'static str, version: i32| {
        let url = db.url.clone();
        async move {
            row(&url, &format!("SELECT id FROM plans WHERE key = '{key}' AND version = {version}")).await
        }
    };
    let first = id("default", 1).await;

    let applied = with_pro.clone().credits("250").apply(&db.url).await;
    assert_eq!((applied.version, applied.changes.len()), (3, 1));
    assert_eq!(applied.changes[0].to_string(), "~ plan default\n    credits a period: 100 -> 250");
    let expected =
        [plan("default", 1, false, false), plan("default", 2, true, true), plan("pro", 1, true, false)];
    assert_eq!(plans(&db.url).await, expected);
    assert_eq!(id("default", 1).await, first, "who has it keeps it");

    // What is taken away is not offered, and its row stays; said again, it is the same row.
    let without = Offer::of_credits("250");
    assert_eq!(without.apply(&db.url).await.changes.last().unwrap().to_string(), "- plan pro");
    assert_eq!(plans(&db.url).await[2], plan("pro", 1, false, false));
    with_pro.credits("250").apply(&db.url).await;
    assert_eq!(plans(&db.url).await, expected);
    // The same again is no version.
    let again = Offer::of_credits("250").with(PRO).apply(&db.url).await;
    assert_eq!((again.version, again.changes.len()), (5, 0));
    assert_eq!(row(&db.url, "SELECT count(*) AS n FROM catalogs").await["n"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_at_the_same_time_come_one_after_the_other() {
    const CALLERS: usize = 16;
    let db = TestDb::create().await;
    let offers: Vec<Offer> =
        (0..CALLERS).map(|number| Offer::of_credits(&format!("{}", 200 + number))).collect();
    let applied = join_all(offers.iter().map(|offer| offer.apply(&db.url))).await;
    let mut versions: Vec<i32> = applied.iter().map(|applied| applied.version).collect();
    versions.sort_unstable();
    assert_eq!(versions, (2..2 + CALLERS as i32).collect::<Vec<_>>());
    assert_whole(&db.url).await;
    println!("catalog_changes n={CALLERS} ok");
}

/// The newest catalogue and the tables say the same.
async fn assert_whole(url: &str) {
    let query = "SELECT count(*) AS n FROM plans p, (SELECT content FROM catalogs ORDER BY version DESC LIMIT 1) c \
                  WHERE p.is_offered AND p.is_default AND p.content = c.content->'plans'->0->1";
    assert_eq!(row(url, query).await["n"], 1);
    let offered = "SELECT count(*) AS n FROM plans WHERE is_offered";
    assert_eq!(row(url, offered).await["n"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_dropped_anywhere_is_whole_or_none_and_leaves_nothing_open() {
    let db = TestDb::create().await;
    let settings = PoolSettings { name: "test", size: 1, wait: Duration::from_secs(10) };
    let pool = Db::try_new(&db.url, settings).unwrap();
    let (mut polls, mut is_done) = (0, false);
    while !is_done {
        let text = Offer::of_credits(&format!("{}", 300 + polls)).text();
        let content = catalog::read("test.toml", &text).unwrap();
        let source = Source { name: format!("poll {polls}"), text };
        let clock = Clock::default();
        is_done = {
            let mut work = pin!(catalog::apply(&pool, &clock, &source, &content, Mode::Apply));
            let mut left = polls;
            poll_fn(|context| match work.as_mut().poll(context) {
                Poll::Ready(applied) => {
                    assert!(!applied.unwrap().changes.is_empty());
                    Poll::Ready(true)
                }
                Poll::Pending if left == 0 => Poll::Ready(false),
                Poll::Pending => {
                    left -= 1;
                    Poll::Pending
                }
            })
            .await
        };
        // The only connection of the pool serves the next caller, outside of any transaction.
        let versions = catalog::list_versions(&mut pool.conn().await.unwrap(), 1).await.unwrap();
        assert!(versions[0].version >= 1);
        assert_whole(&db.url).await;
        polls += 1;
    }
    let open = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() \
                AND state LIKE 'idle in transaction%'";
    assert_eq!(row(&db.url, open).await["n"], 0);
    pool.close();
    // On a busy machine several answers are there at one poll.
    assert!(polls > 5, "the change was over after {polls} polls");
    println!("catalog_dropped n={polls} ok");
}

/// The price of output of a model, by the API.
async fn output_price(app: &TestApp, key: &str) -> Value {
    let query = "{ models { key prices { unit credits } } }";
    let answer = app.client.gql(query, json!({})).await;
    let models = answer.data()["models"].as_array().unwrap().clone();
    let model = models.iter().find(|model| model["key"] == key).unwrap_or_else(|| panic!("{models:?}"));
    let prices = model["prices"].as_array().unwrap();
    prices.iter().find(|price| price["unit"] == "OUTPUT_TOKEN").unwrap()["credits"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_with_a_date_is_in_force_from_that_instant_without_a_restart() {
    let clock = Clock::default();
    let begins = clock.now() + TimeDelta::hours(2);
    let model = |later: &str| {
        format!(
            "[models.dated]\nprovider = \"scripted\"\naliases = [\"old-name\"]\ncontext_tokens = 1000\nmax_output_tokens = 100\n\
             [[models.dated.prices]]\ninput = \"1\"\noutput = \"2\"\n\
             [[models.dated.prices]]\nfrom = {}\ninput = \"1\"\noutput = \"{later}\"\n",
            begins.to_rfc3339()
        )
    };
    let app = TestApp::builder().catalog(&model("7")).start().await;
    assert_eq!(output_price(&app, "dated").await, "2.000000");
    let book =
        "SELECT count(*) AS n FROM model_prices p JOIN models m ON m.id = p.model_id WHERE m.key = 'dated'";
    assert_eq!(row(&app.db.url, book).await["n"], 4, "only what changes has a second row");
    // Until it is in force it can still be taken back.
    apply(&app.db.url, &Offer::default().with(&model("9")).text()).await;
    assert_eq!(row(&app.db.url, book).await["n"], 4);

    app.app.clock.advance(TimeDelta::minutes(119));
    assert_eq!(output_price(&app, "dated").await, "2.000000");
    app.app.clock.advance(TimeDelta::minutes(2));
    let mut polls = tokio::time::interval(Duration::from_millis(20));
    let since = Instant::now();
    while output_price(&app, "dated").await != "9.000000" {
        polls.tick().await;
        assert!(since.elapsed() < Duration::from_secs(20), "the price does not come");
    }
    app.close().await;
}
