//! What is spent on one process is seen by who watches on another.

use std::time::Instant;

use serde_json::{Value, json};

use super::{PROMISE, processes};
use crate::{
    accounts::Person,
    support::{
        db::TestDb,
        provider::{Gate, Script, ScriptedProvider},
        ws::{Event, Socket, Subscription},
    },
};

const BALANCE: &str = "subscription { creditBalanceChanged { available held revision } }";

async fn balance(watch: &mut Subscription) -> Value {
    match watch.next().await {
        Event::Next(event) if event["errors"].is_null() => event["data"]["creditBalanceChanged"].clone(),
        other => panic!("{other:?}"),
    }
}

/// Without hints: balances are looked at, not told.
#[tokio::test(flavor = "multi_thread")]
async fn a_balance_that_changes_there_is_seen_here_within_two_seconds() {
    let (db, provider) = (TestDb::create().await, ScriptedProvider::start().await);
    let [there, here] = processes(&db, provider.base_url(), false, "").await;
    let person = Person::join(&there.client).await;
    let away = here.client.with_token(person.client.token.clone().unwrap());
    let socket = Socket::connect(&away).await;
    let mut watch = socket.subscribe(BALANCE, json!({})).await;
    let first = balance(&mut watch).await;
    assert_eq!(first["held"], "0.000000");
    let gate = Gate::default();
    provider.then(Script::text("Yes.", 1).usage(5, 10).gate(&gate));
    let sent = person.client.send_text("Hi", json!({})).await;
    let since = Instant::now();
    let held = balance(&mut watch).await;
    let held_after = since.elapsed();
    assert_eq!(held, sent["creditBalance"]);
    gate.open();
    person.client.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
    let since = Instant::now();
    let settled = balance(&mut watch).await;
    let settled_after = since.elapsed();
    assert_eq!((&settled["available"], &settled["held"]), (&json!("99.985000"), &json!("0.000000")));
    println!("a_balance_is_seen_elsewhere n=2 ok ({held_after:?}, {settled_after:?})");
    assert!(held_after < PROMISE && settled_after < PROMISE);
    drop((watch, socket));
}
