//! Points of operations: whose they are, and what is answered when they are used up.

use std::time::Duration;

use loquent::{graphql::rates::Rates, platform::postgres::rate_limits::Limit};
use serde_json::json;

use crate::support::{
    app::{TestApp, new_key},
    client::{Answer, Client},
    rows::row,
    ws::{Event, Socket},
};

/// A hundred points within ten seconds, and as many requests as one likes.
async fn start() -> TestApp {
    let (requests, points) =
        (Limit::sliding(100_000, Duration::from_secs(60)), Limit::bucket(100, Duration::from_secs(10)));
    TestApp::builder().outside_development().rates(Rates { requests, points }).start().await
}

/// An operation that asks for so many points, which are those of its page and 3 more. The page of who has no
/// conversations is empty, so it costs 3.
fn of(points: usize) -> String {
    format!("{{ viewer {{ account {{ conversations(first: {}) {{ nodes {{ id }} }} }} }} }}", points - 3)
}

/// An operation that costs ten points, and as many for each ten more.
fn whole(points: usize) -> String {
    let fields: String =
        (0..10).map(|n| format!(" a{n}: viewer {{ {} }}", selection(points / 10 - 1))).collect();
    format!("{{{fields} }}")
}

/// So many objects that everybody has, below the viewer.
fn selection(points: usize) -> String {
    let more: String = (0..points).map(|n| format!(" b{n}: session {{ id }}")).collect();
    format!("__typename{more}")
}

async fn run(person: &Client, points: usize) -> Answer {
    person.gql(&of(points), json!({})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_says_what_is_left() {
    let app = start().await;
    let person = app.client.sign_up().await;
    let query = "{ viewer { rateLimit { limit cost remaining resetsAt } } }";
    let answer = person.gql(query, json!({})).await;
    let rate = &answer.data()["viewer"]["rateLimit"];
    assert_eq!((&rate["limit"], &rate["cost"], &rate["remaining"]), (&json!(100), &json!(2), &json!(98)));
    let resets_at: chrono::DateTime<chrono::Utc> = rate["resetsAt"].as_str().unwrap().parse().unwrap();
    let wait = resets_at - app.app.clock.now();
    assert!(wait <= chrono::TimeDelta::milliseconds(200), "{wait}");
    let cost = &answer.body["extensions"]["cost"];
    assert_eq!(
        *cost,
        json!({ "requested": 2, "actual": 2, "maximum": 2000,
            "throttle": { "maximum": 100, "available": 98, "restoreRate": 10.0 } })
    );
    assert!(answer.header("ratelimit").contains("\"points\";r=98;t=1"), "{answer:?}");
    // What asks for nothing is one point all the same, and what is not valid is none.
    assert_eq!(person.gql("{ nothing }", json!({})).await.status, 400);
    let free = person.gql("{ __typename }", json!({})).await;
    let throttle = &free.body["extensions"]["cost"]["throttle"];
    assert!((95..=100).contains(&throttle["available"].as_i64().unwrap()), "{free:?}");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_are_as_many_calls_and_beyond_the_budget_nothing_is_executed() {
    let app = start().await;
    let (person, other) = (app.client.sign_up().await, app.client.sign_up().await);
    let ten = person.gql(&whole(10), json!({})).await;
    let cost = &ten.body["extensions"]["cost"];
    assert_eq!((&cost["requested"], &cost["throttle"]["available"]), (&json!(10), &json!(90)), "{cost}");
    assert_eq!(person.gql(&whole(90), json!({})).await.body["extensions"]["cost"]["actual"], 90);
    let create =
        "mutation($key: String!) { createConversation(input: { model: \"scripted\", idempotencyKey: $key }) {
        conversation { id title messageCount } } }";
    let refused = person.gql(create, json!({ "key": new_key() })).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (429, "RATE_LIMITED"), "{refused:?}");
    assert!(refused.body.get("data").is_none());
    assert_eq!(row(&app.db.url, "SELECT count(*) AS n FROM conversations").await["n"], 0);
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert_eq!(refused.errors()[0]["extensions"]["retryAfterSeconds"], wait);
    assert!(refused.header("ratelimit").ends_with(&format!("\"points\";r=0;t={wait}")), "{refused:?}");
    // Older clients hear of it with 200, as of everything that GraphQL finds.
    let request =
        person.post(json!({ "query": of(50) }).to_string()).header("content-type", "application/json");
    let older = person.send(request.header("accept", "application/json")).await;
    assert_eq!((older.status.as_u16(), older.code()), (200, "RATE_LIMITED"));
    assert!((1..=5).contains(&older.header("retry-after").parse::<u64>().unwrap()), "{older:?}");
    // Over a socket each operation counts from the same budget.
    let socket = Socket::connect(&person).await;
    let mut operation = socket.subscribe(&of(50), json!({})).await;
    let Event::Error(errors) = operation.next().await else { panic!("it was executed") };
    assert_eq!(errors[0]["extensions"]["code"], "RATE_LIMITED");
    assert!(errors[0]["extensions"]["retryAfterSeconds"].as_u64().unwrap() >= 1);
    drop((operation, socket));
    // Somebody else at the same address has a budget of their own, and so has who is nobody.
    assert_eq!(run(&other, 90).await.status, 200);
    assert_eq!(run(&app.client, 50).await.status, 200);
    // What is waited for is there.
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(person.gql(create, json!({ "key": new_key() })).await.status, 200);
    app.close().await;
}
