//! Watching a run: its state now, then each newer one, until it has ended.

use serde_json::{Value, json};

use super::fed::Fed;
use crate::support::{
    app::TestApp,
    provider::{Gate, Script},
    ws::{Event, Socket, Subscription},
};

const CHANGED: &str = "subscription($id: ID!) {
    generationChanged(generationId: $id) { id status revision firstOutputAt finishedAt charge { creditsCharged } } }";

/// All states that are left; they never go back.
async fn rest(watch: &mut Subscription, mut last: i64) -> Vec<String> {
    let mut states = Vec::new();
    loop {
        match watch.next().await {
            Event::Next(event) if event["errors"].is_null() => {
                let state = &event["data"]["generationChanged"];
                let revision = state["revision"].as_i64().unwrap();
                assert!(revision > last, "{state} after revision {last}");
                last = revision;
                states.push(state["status"].as_str().unwrap().to_owned());
            }
            Event::Complete => return states,
            other => panic!("{other:?}"),
        }
    }
}

async fn next(watch: &mut Subscription) -> Value {
    match watch.next().await {
        Event::Next(event) if event["errors"].is_null() => event["data"]["generationChanged"].clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_shown_as_it_is_and_then_each_newer_state_until_its_end() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let gate = Gate::default();
    app.provider.then(Script::text("Yes indeed.", 2).usage(1, 1).gate(&gate));
    let sent = person.send_text("Hi", json!({})).await;
    let message = sent["assistantMessage"]["id"].as_str().unwrap();
    let id = sent["assistantMessage"]["generation"]["id"].clone();
    let socket = Socket::connect(&person).await;
    let mut watch = socket.subscribe(CHANGED, json!({ "id": id })).await;
    let first = next(&mut watch).await;
    assert_eq!((&first["status"], &first["revision"]), (&json!("QUEUED"), &json!(1)));
    gate.open();
    let states = rest(&mut watch, 1).await;
    assert_eq!(states.last().unwrap(), "SUCCEEDED", "{states:?}");
    person.wait_for_end(message).await;
    // Of one that has ended there is the end.
    let mut late = socket.subscribe(CHANGED, json!({ "id": id })).await;
    assert_eq!(rest(&mut late, 0).await, ["SUCCEEDED"]);
    println!("generation changed n=2 {states:?} ok");
    drop((watch, late, socket));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_word_and_a_stop_are_states_of_their_own() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let socket = Socket::connect(&person).await;
    let pieces = ["Never ", "ends ", "…"].map(str::to_owned);
    let mut fed = Fed::start(&app.provider, &person, &pieces).await;
    let id = fed.generation_id.clone();
    let mut watch = socket.subscribe(CHANGED, json!({ "id": id })).await;
    assert_eq!(next(&mut watch).await["status"], "QUEUED");
    fed.watch(&socket).await;
    fed.read_until(pieces[0].len()).await;
    let running = next(&mut watch).await;
    assert_eq!((&running["status"], &running["revision"]), (&json!("RUNNING"), &json!(2)));
    assert_ne!(running["firstOutputAt"], Value::Null);
    let stop = "mutation($id: ID!) { cancelGeneration(input: { id: $id }) { userErrors { code } } }";
    person.gql(stop, json!({ "id": id })).await.data();
    let states = rest(&mut watch, 2).await;
    assert_eq!(states.last().unwrap(), "CANCELED", "{states:?}");
    println!("generation changed stop n=1 {states:?} ok");
    drop((watch, fed, socket));
    app.close().await;
}
