//! Watching balances and limits over a socket.

use loquent::platform::ids::parse_any;
use serde_json::{Value, json};

use super::{OFFER, offered, set_plan, shift, until_midnight};
use crate::support::{
    provider::{Gate, Script},
    ws::{Event, RawSocket, Received, Socket, Subscription},
};

pub const BALANCE: &str = "subscription { creditBalanceChanged { available held resetsAt revision } }";
const QUOTA: &str = "subscription { quotaChanged { meter window limit used held remaining revision } }";

async fn next(watch: &mut Subscription, field: &str) -> Value {
    match watch.next().await {
        Event::Next(event) if event["errors"].is_null() => event["data"][field].clone(),
        other => panic!("{other:?}"),
    }
}

async fn several(watch: &mut Subscription, count: usize) -> Vec<Value> {
    let mut events = Vec::new();
    while events.len() < count {
        events.push(next(watch, "quotaChanged").await);
    }
    events
}

fn used_and_held(quotas: &[Value]) -> Vec<(&str, &str)> {
    quotas.iter().map(|quota| (quota["used"].as_str().unwrap(), quota["held"].as_str().unwrap())).collect()
}

fn revision(quota: &Value) -> i64 {
    quota["revision"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_gets_the_balance_first_and_then_each_newer_one() {
    let app = offered(OFFER).await;
    let person = app.client.sign_up().await;
    let socket = Socket::connect(&person).await;
    let mut watch = socket.subscribe(BALANCE, json!({})).await;
    let first = next(&mut watch, "creditBalanceChanged").await;
    assert_eq!((&first["available"], &first["held"]), (&json!("100.000000"), &json!("0.000000")));
    assert_ne!(first["resetsAt"], Value::Null);
    let gate = Gate::default();
    app.provider.then(Script::text("Yes.", 1).usage(5, 10).gate(&gate));
    let sent = person.send_text("Hi", json!({})).await;
    let held = next(&mut watch, "creditBalanceChanged").await;
    for name in ["available", "held", "revision"] {
        assert_eq!(held[name], sent["creditBalance"][name]);
    }
    gate.open();
    let settled = next(&mut watch, "creditBalanceChanged").await;
    assert_eq!((&settled["available"], &settled["held"]), (&json!("99.985000"), &json!("0.000000")));
    let revisions = [&first, &held, &settled].map(|balance| balance["revision"].as_i64().unwrap());
    assert!(revisions.is_sorted(), "{revisions:?}");
    // A grant by somebody else, of whom this process hears by looking.
    let account = person.gql("{ viewer { account { id } } }", json!({})).await;
    let id = account.data()["viewer"]["account"]["id"].as_str().unwrap().to_owned();
    let id = parse_any(&id).unwrap().1;
    app.db
        .execute(&format!(
            "SELECT ledger_grant(uuid_v7(), '{id}', 'credits', 'promotion', 'welcome', 1000000, 30::smallint,
               loquent_now(), 'infinity', NULL, 'Welcome')"
        ))
        .await;
    assert_eq!(next(&mut watch, "creditBalanceChanged").await["available"], "100.985000");
    println!("a_watcher_gets_the_balance_first n=4 ok");
    drop((watch, socket));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_gets_every_limit_first_and_then_those_that_change() {
    let app = offered(OFFER).await;
    let person = app.client.sign_up().await;
    let socket = Socket::connect(&person).await;
    let mut watch = socket.subscribe(QUOTA, json!({})).await;
    let first = several(&mut watch, 4).await;
    let windows: Vec<_> = first.iter().map(|quota| quota["window"].as_str().unwrap()).collect();
    assert_eq!(windows, ["DAY", "MINUTE", "NONE", "DAY"]);
    assert!(first.iter().all(|quota| quota["used"].as_str().unwrap().parse() == Ok(0.0)));
    let gate = Gate::default();
    app.provider.then(Script::text("Yes.", 1).usage(5, 10).gate(&gate));
    person.send_text("Hi", json!({})).await;
    let held = several(&mut watch, 4).await;
    assert_eq!(used_and_held(&held), [("0", "1"), ("0", "1"), ("0", "1"), ("0.000000", "4.101000")]);
    gate.open();
    let used = several(&mut watch, 4).await;
    assert_eq!(used_and_held(&used), [("1", "0"), ("1", "0"), ("0", "0"), ("0.015000", "0.000000")]);
    for (first, (held, used)) in first.iter().zip(held.iter().zip(&used)) {
        let revisions = [first, held, used].map(revision);
        assert!(revisions.is_sorted_by(|one, next| one < next), "{first}: {revisions:?}");
    }
    println!("a_watcher_gets_every_limit_first n=12 ok");
    drop((watch, socket));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_another_plan_takes_away_is_told_as_unlimited() {
    let app = offered(OFFER).await;
    let person = app.client.sign_up().await;
    let socket = Socket::connect(&person).await;
    let mut watch = socket.subscribe(QUOTA, json!({})).await;
    let first = several(&mut watch, 4).await;
    // Huge has no limit of its own, and the ceilings stay.
    set_plan(&app, &person, "huge").await;
    let then = several(&mut watch, 4).await;
    let mut limits: Vec<_> =
        then.iter().map(|quota| (quota["window"].as_str().unwrap(), quota["limit"].as_str())).collect();
    limits.sort_unstable();
    assert_eq!(limits, [("DAY", None), ("DAY", Some("10000.000000")), ("MINUTE", None), ("NONE", Some("3"))]);
    for gone in then.iter().filter(|quota| quota["limit"].is_null()) {
        let is_same = |quota: &&Value| quota["meter"] == gone["meter"] && quota["window"] == gone["window"];
        assert!(revision(gone) > revision(first.iter().find(is_same).unwrap()), "{gone}");
    }
    println!("a_limit_that_another_plan_takes_away n=2 ok");
    drop((watch, socket));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_turns_is_told_although_nobody_calls() {
    let app = offered(OFFER).await;
    let before_midnight = until_midnight(&app) - chrono::TimeDelta::seconds(6);
    shift(&app, before_midnight, before_midnight).await;
    let person = app.client.sign_up().await;
    app.provider.then(Script::text("Yes.", 1).usage(5, 10));
    person.ended_run(&person.send_text("Hi", json!({})).await).await;
    let socket = Socket::connect(&person).await;
    let mut watch = socket.subscribe(QUOTA, json!({})).await;
    let first = several(&mut watch, 4).await;
    assert_eq!((&first[0]["meter"], &first[0]["used"]), (&json!("MESSAGES"), &json!("1")));
    let turned = loop {
        let quota = next(&mut watch, "quotaChanged").await;
        if quota["meter"] == "MESSAGES" {
            break quota;
        }
    };
    assert_eq!(turned["used"], "0");
    assert!(revision(&turned) > revision(&first[0]), "{turned}");
    println!("a_window_that_turns_is_told n=1 ok");
    drop((watch, socket));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_ends_with_the_session() {
    let app = offered(OFFER).await;
    let person = app.client.sign_up().await;
    let mut socket = RawSocket::open(&person).await;
    socket.init(person.token.as_deref()).await;
    let payload = json!({ "query": BALANCE });
    socket.send(json!({ "id": "1", "type": "subscribe", "payload": payload })).await;
    assert!(matches!(socket.receive().await, Received::Json(event) if event["type"] == "next"));
    let sign_out = "mutation { signOut(input: {}) { isAccepted } }";
    person.gql(sign_out, json!({})).await.data();
    assert_eq!(socket.close_code().await, 4403);
    app.close().await;
}
