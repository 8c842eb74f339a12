//! What an operation asked for and did not get is given back, and nobody gets more by that than a bucket has.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use loquent::{
    graphql::rates::Rates,
    platform::postgres::rate_limits::{Key, Limit, Outcome, RateLimiter},
};
use rand::RngExt;
use serde_json::{Value, json};

use super::limiter;
use crate::support::{
    app::TestApp,
    client::{Answer, Client},
    db::TestDb,
    provider::Script,
    proxy::Proxy,
    ws::{Event, Socket},
};

/// So many points, of which next to nothing is refilled while a test runs.
async fn start(points: u32) -> TestApp {
    let requests = Limit::sliding(100_000, Duration::from_secs(60));
    let points = Limit::bucket(points, Duration::from_secs(100_000));
    TestApp::builder().outside_development().rates(Rates { requests, points }).start().await
}

/// Asks for 100 points; who has no conversations gets 3.
const PAGE: &str = "{ viewer { account { conversations(first: 97) { nodes { id } } } } }";

fn cost(answer: &Answer) -> &Value {
    &answer.body["extensions"]["cost"]
}

async fn page(person: &Client) -> Answer {
    person.gql(PAGE, json!({})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gets_little_of_what_was_asked_for_may_ask_far_more_often() {
    const POINTS: u32 = 700;
    let app = start(POINTS).await;
    let person = app.client.sign_up().await;
    // Seven operations would be all, if each cost what it asks for.
    let mut left = POINTS;
    while left >= 100 {
        let answer = page(&person).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        left -= 3;
        assert_eq!((&cost(&answer)["requested"], &cost(&answer)["actual"]), (&json!(100), &json!(3)));
        assert_eq!(cost(&answer)["throttle"]["available"], left);
        assert!(answer.header("ratelimit").contains(&format!("\"points\";r={left};")), "{answer:?}");
    }
    // What is asked for must still be there.
    let refused = page(&person).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (429, "RATE_LIMITED"));
    assert!(refused.header("ratelimit").contains(&format!("\"points\";r={left};")), "{refused:?}");
    // While it runs an operation knows only what it asks for.
    let query =
        "{ viewer { rateLimit { cost remaining } account { conversations(first: 10) { nodes { id } } } } }";
    let answer = person.gql(query, json!({})).await;
    let expected = json!({ "cost": 14, "remaining": left - 14 });
    assert_eq!(answer.data()["viewer"]["rateLimit"], expected);
    assert_eq!(cost(&answer)["throttle"]["available"], left - 4);
    println!("rate_refund n={} of 7 ok", (POINTS - left) / 3);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_or_goes_on_is_paid_in_full() {
    let app = start(1_000).await;
    let person = app.client.sign_up().await;
    // What was done below a field that failed is not in the answer.
    let failing = "{ viewer { account { a: conversations(first: 97) { nodes { id } } b: conversations(first: 1000) { nodes { id } } } } }";
    let failed = person.gql(failing, json!({})).await;
    assert!(!failed.errors().is_empty(), "{failed:?}");
    assert_eq!((&cost(&failed)["requested"], &cost(&failed)["actual"]), (&json!(201), &json!(201)));
    // A refusal by the payload is an answer like any other.
    let mutation = "mutation { cancelGeneration(input: { id: \"gen_00000000000000000000000001\" }) { userErrors { code } } }";
    let refused = person.gql(mutation, json!({})).await;
    assert_eq!(cost(&refused)["actual"], 2, "{refused:?}");
    // A subscription pays when it begins.
    app.provider.always(Script::text("Yes.", 1));
    let sent = person.send_text("Hi", json!({})).await;
    person.ended_run(&sent).await;
    let watch = "subscription($id: ID!) { messageStream(messageId: $id) { ... on MessageSnapshot {
        message { conversation { messages(first: 100) { nodes { id } } } } } } }";
    let socket = Socket::connect(&person).await;
    let before = page(&person).await;
    let mut events = socket.subscribe(watch, json!({ "id": sent["assistantMessage"]["id"] })).await;
    let Event::Next(event) = events.next().await else { panic!("there is no snapshot") };
    assert_eq!(event["extensions"]["cost"]["actual"], 104, "{event}");
    let after = page(&person).await;
    let available = |answer: &Answer| cost(answer)["throttle"]["available"].as_u64().unwrap();
    assert_eq!(available(&before) - available(&after), 104 + 4, "{after:?}");
    drop((events, socket));
    app.close().await;
}

/// Takes one point after the other, and says how many there were.
async fn drain(limiter: &RateLimiter, key: &Key, limit: &Limit) -> u32 {
    let mut points = 0;
    while limiter.take(key, limit, 1).await.unwrap().is_admitted() {
        points += 1;
    }
    points
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_never_makes_a_bucket_more_than_full() {
    const WINDOW: Duration = Duration::from_millis(600);
    let db = TestDb::create().await;
    let (one, other) = (limiter(&db.url), limiter(&db.url));
    let limit = Limit::bucket(100, WINDOW);
    for (n, later) in [&one, &other].into_iter().enumerate() {
        let key = Key::new("test", n);
        let reserved = one.reserve(&key, &limit, 100).await.unwrap();
        assert!(reserved.outcome.is_admitted());
        // Meanwhile all of it is refilled, and the block is still good.
        tokio::time::sleep(WINDOW + Duration::from_millis(50)).await;
        let begun = Instant::now();
        assert_eq!((reserved.settle(1), reserved.settle(1)), (99, 0));
        let points = drain(&one, &key, &limit).await + drain(later, &key, &limit).await;
        let refilled = 100.0 * begun.elapsed().as_secs_f64() / WINDOW.as_secs_f64();
        assert!(f64::from(points) <= 101.0 + refilled, "{points} of 100 and {refilled}");
        assert!(points >= 100, "{points}");
    }
    db.close().await;
}

/// What one caller did.
#[derive(Default)]
struct Use {
    reserved: u32,
    actual: u32,
    operations: u32,
}

/// Operations that ask for 100 points and cost a few, until the time is over.
async fn operate(limiter: &RateLimiter, limit: &Limit, until: Instant) -> Use {
    let (key, mut used) = (Key::new("test", "somebody"), Use::default());
    while Instant::now() < until {
        let (pause, actual) = {
            let mut random = rand::rng();
            (random.random_range(0..20), random.random_range(1..10))
        };
        let reserved = limiter.reserve(&key, limit, 100).await.unwrap();
        if let Outcome::Admitted(_) = reserved.outcome {
            used.reserved += 100;
            used.actual += actual;
            used.operations += 1;
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
        reserved.settle(actual);
    }
    used
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_two_processes_never_use_more_than_a_bucket_and_its_refill() {
    const CALLERS: usize = 25;
    const POINTS: u32 = 1_000;
    const WINDOW: Duration = Duration::from_secs(5);
    let db = TestDb::create().await;
    let proxy = Proxy::start(&db.url).await;
    let limit = Limit::bucket(POINTS, WINDOW);
    let limiters = [limiter(proxy.url()), limiter(proxy.url())];
    let mark = proxy.count();
    let begun = Instant::now();
    let until = begun + Duration::from_secs(3);
    let callers = limiters.iter().flat_map(|limiter| (0..CALLERS).map(|_| operate(limiter, &limit, until)));
    let uses = join_all(callers).await;
    let share = begun.elapsed().as_secs_f64() / WINDOW.as_secs_f64();
    let most = f64::from(POINTS) * (1.0 + share);
    let sum = |of: fn(&Use) -> u32| uses.iter().map(of).sum::<u32>();
    let (actual, reserved, operations) =
        (sum(|used| used.actual), sum(|used| used.reserved), sum(|used| used.operations));
    assert!(f64::from(actual) <= most, "{actual} of {most}");
    // It is worth something: nearly all of the points were used, by far more operations than without.
    assert!(f64::from(actual) >= most * 0.7, "{actual} of {most}");
    assert!(f64::from(reserved) >= 5.0 * most, "{reserved} of {most}");
    let statements = proxy.since(mark).iter().filter(|flight| flight.sql.contains("rate_spend")).count();
    println!(
        "rate_refunds n={operations} actual={actual} of {most:.0}, asked {reserved}, statements={statements} ok"
    );
    drop(proxy);
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_a_refused_key_costs_nothing_while_points_come_back() {
    const FLOOD: usize = 1_000;
    let db = TestDb::create().await;
    let proxy = Proxy::start(&db.url).await;
    let (limiter, limit) = (limiter(proxy.url()), Limit::bucket(100, Duration::from_secs(100_000)));
    let key = Key::new("test", "somebody");
    let mut running = Vec::new();
    for _ in 0..10 {
        running.push(limiter.reserve(&key, &limit, 10).await.unwrap());
    }
    let mark = proxy.count();
    let asked = || proxy.since(mark).iter().filter(|flight| flight.sql.contains("rate_spend")).count();
    for reserved in &running {
        for _ in 0..FLOOD {
            assert!(!limiter.take(&key, &limit, 91).await.unwrap().is_admitted());
        }
        assert_eq!(reserved.settle(1), 9);
    }
    assert_eq!(asked(), 1, "a refusal was not remembered");
    // Now there is as much.
    assert!(!limiter.take(&key, &limit, 91).await.unwrap().is_admitted());
    assert!(limiter.take(&key, &limit, 90).await.unwrap().is_admitted());
    assert!(asked() <= 2, "{} statements", asked());
    println!("rate_refund_flood n={} statements={} ok", running.len() * FLOOD, asked());
    drop(proxy);
    db.close().await;
}
