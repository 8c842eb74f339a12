//! Who begins to watch in the moment of a change sees the change.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Barrier;

use super::{next_raw, watch};
use crate::{
    conversations::{created, update},
    support::{app::TestApp, ws::Socket},
};

const ROUNDS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_the_moment_of_the_subscription_is_never_missed() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let socket = Socket::connect(&person).await;
    let (mut in_snapshot, mut live) = (0, 0);
    for round in 0..ROUNDS {
        let conversation = created(&person, "Begin").await;
        let barrier = Arc::new(Barrier::new(2));
        let changing = async {
            barrier.wait().await;
            update(&person, &conversation, json!({ "title": "Changed" })).await
        };
        let watching = async {
            barrier.wait().await;
            let after = (round % 2 == 0).then_some(0);
            let mut watch = watch(&socket, &conversation, after).await;
            loop {
                let event = next_raw(&mut watch).await;
                if event["sequence"] == 1 {
                    return event;
                }
            }
        };
        let (changed, event) = tokio::join!(changing, watching);
        assert_eq!(changed["userErrors"], json!([]));
        assert_eq!(event["conversation"]["title"], "Changed", "{event}");
        match event["__typename"].as_str().unwrap() {
            "ConversationSnapshot" => in_snapshot += 1,
            _ => live += 1,
        }
    }
    println!("subscribe_and_change_at_once n={ROUNDS} snapshot={in_snapshot} entry={live} ok");
    assert_eq!(in_snapshot + live, ROUNDS);
    drop(socket);
    app.close().await;
}
