//! Watching balances and limits over a socket.

use loquent::platform::ids::parse_any;
use serde_json::{Value, json};

use super::{OFFER, offered};
use crate::support::{
    provider::{Gate, Script},
    ws::{Event, RawSocket, Received, Socket, Subscription},
};

pub const BALANCE: &str = "subscription { creditBalanceChanged { available held resetsAt revision } }";
const QUOTA: &str = "subscription { quotaChanged { meter window used held remaining revision } }";

async fn next(watch: &mut Subscription, field: &str) -> Value {
    match watch.next().await {
        Event::Next(event) if event["errors"].is_null() => event["data"][field].clone(),
        other => panic!("{other:?}"),
    }
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
    let first = [next(&mut watch, "quotaChanged").await, next(&mut watch, "quotaChanged").await];
    let meters: Vec<_> = first.iter().map(|quota| quota["meter"].as_str().unwrap()).collect();
    assert_eq!(meters, ["MESSAGES", "LLM_REQUESTS"]);
    assert!(first.iter().all(|quota| quota["used"] == "0" && quota["held"] == "0"));
    let gate = Gate::default();
    app.provider.then(Script::text("Yes.", 1).usage(5, 10).gate(&gate));
    person.send_text("Hi", json!({})).await;
    for _ in 0..2 {
        let held = next(&mut watch, "quotaChanged").await;
        assert_eq!((&held["used"], &held["held"]), (&json!("0"), &json!("1")), "{held}");
    }
    gate.open();
    for _ in 0..2 {
        let used = next(&mut watch, "quotaChanged").await;
        assert_eq!((&used["used"], &used["held"]), (&json!("1"), &json!("0")), "{used}");
    }
    println!("a_watcher_gets_every_limit_first n=6 ok");
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
