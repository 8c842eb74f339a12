//! Access to a conversation is asked for with every reading.

use serde_json::json;

use super::{Entry, next, watch};
use crate::{
    conversations::{created, update},
    support::{
        app::TestApp,
        ws::{Event, Socket},
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_removed_from_the_account_gets_nothing_more() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let conversation = created(&person, "Begin").await;
    let socket = Socket::connect(&person).await;
    let mut watching = watch(&socket, &conversation, None).await;
    assert_eq!(next(&mut watching).await, (0, Entry::Snapshot));
    update(&person, &conversation, json!({ "title": "Seen" })).await;
    assert_eq!(next(&mut watching).await, (1, Entry::Conversation));
    app.db.execute("DELETE FROM members").await;
    // A change by somebody else, without a word.
    app.db.execute("UPDATE conversations SET title = 'Unseen', event_sequence = event_sequence + 1").await;
    assert_eq!(watching.next().await, Event::Complete);
    let mut refused = watch(&socket, &conversation, Some(1)).await;
    match refused.next().await {
        Event::Next(event) => assert!(event["data"].is_null() && !event["errors"].is_null(), "{event}"),
        Event::Error(_) => {}
        other => panic!("{other:?}"),
    }
    println!("conversation stream removed member n=2 ok");
    drop((watching, refused, socket));
    app.close().await;
}
