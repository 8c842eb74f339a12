//! Staying signed in by refresh tokens, and ending sessions.

use std::collections::HashSet;

use serde_json::json;

use super::{Person, refresh, whoami};
use crate::support::{
    app::TestApp,
    ws::{RawSocket, Received},
};

fn child_of(payload: &serde_json::Value) -> String {
    payload["tokens"]["refreshToken"].as_str().unwrap_or_else(|| panic!("{payload}")).to_owned()
}

fn code_of(payload: &serde_json::Value) -> &str {
    assert_eq!(payload["tokens"], json!(null), "{payload}");
    payload["userErrors"][0]["code"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_parallel_refreshes_of_one_token_have_one_child() {
    const CALLS: usize = 50;
    const ROUNDS: usize = 4;
    let app = TestApp::start().await;
    let person = Person::join(&app.client).await;
    let mut token = person.refresh_token.clone();
    let mut spent = String::new();
    for _ in 0..ROUNDS {
        let calls = (0..CALLS).map(|_| refresh(&app.client, &token));
        let payloads = futures_util::future::join_all(calls).await;
        let children: HashSet<String> = payloads.iter().map(child_of).collect();
        assert_eq!(children.len(), 1);
        spent = std::mem::replace(&mut token, children.into_iter().next().unwrap());
    }
    let rows = app.db.lines("SELECT generation::text AS line FROM refresh_tokens ORDER BY generation").await;
    assert_eq!(rows, ["0", "1", "2", "3", "4"]);
    // A repeat within the grace, when the answer was lost: the same child again, and the session lives on.
    let again = refresh(&app.client, &spent).await;
    assert_eq!(child_of(&again), token);
    assert_eq!(again["viewer"]["user"]["email"], person.email.as_str());
    let renewed = app.client.with_token(again["tokens"]["accessToken"].as_str().unwrap());
    assert!(whoami(&renewed).await.errors().is_empty());
    assert!(person.is_signed_in().await);
    println!("fifty_parallel_refreshes_have_one_child n={} ok", CALLS * ROUNDS);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_token_ends_its_session_with_the_newest_child() {
    let app = TestApp::start().await;
    let person = Person::join(&app.client).await;
    let other_device = person.sign_in().await;
    let first = person.refresh_token.clone();
    let second = child_of(&refresh(&app.client, &first).await);
    let third_payload = refresh(&app.client, &second).await;
    let third = child_of(&third_payload);
    assert!(person.is_signed_in().await);
    assert_eq!(code_of(&refresh(&app.client, &first).await), "INVALID_CODE", "a grandparent was taken");
    for (name, token) in [("newest", &third), ("middle", &second), ("oldest", &first)] {
        assert_eq!(
            code_of(&refresh(&app.client, token).await),
            "INVALID_CODE",
            "the {name} token still works"
        );
    }
    assert!(!person.is_signed_in().await, "the access token outlives its session");
    let newest = app.client.with_token(third_payload["tokens"]["accessToken"].as_str().unwrap());
    assert_eq!(whoami(&newest).await.code(), "UNAUTHENTICATED");
    assert!(other_device.is_signed_in().await, "another session was ended too");
    assert_eq!(
        app.db.lines("SELECT revoke_reason AS line FROM sessions WHERE revoke_reason IS NOT NULL").await,
        ["reuse"]
    );
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_token_after_the_grace_ends_its_session() {
    let app = TestApp::start().await;
    let person = Person::join(&app.client).await;
    let child = child_of(&refresh(&app.client, &person.refresh_token).await);
    // The grace is over: what happened ten seconds ago, as the database sees it.
    app.db
        .execute(
            "UPDATE refresh_tokens SET used_at = used_at - interval '11 seconds' WHERE used_at IS NOT NULL",
        )
        .await;
    assert_eq!(code_of(&refresh(&app.client, &person.refresh_token).await), "INVALID_CODE");
    assert_eq!(code_of(&refresh(&app.client, &child).await), "INVALID_CODE");
    assert!(!person.is_signed_in().await);
    for nonsense in ["", "x", "\u{0}", &"x".repeat(10_000), &person.client.token.clone().unwrap()] {
        assert_eq!(code_of(&refresh(&app.client, nonsense).await), "INVALID_CODE");
    }
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_access_at_once_and_closes_the_sockets() {
    let app = TestApp::start().await;
    let person = Person::join(&app.client).await;
    let other_device = person.sign_in().await;
    let stranger = Person::join(&app.client).await;
    let mut sockets = Vec::new();
    for client in [&person.client, &other_device.client, &stranger.client] {
        let mut socket = RawSocket::open(client).await;
        socket.init(client.token.as_deref()).await;
        sockets.push(socket);
    }
    // Both sessions are remembered by the process now.
    assert!(person.is_signed_in().await && other_device.is_signed_in().await);
    person.sign_out(false).await;
    assert!(!person.is_signed_in().await, "the token works after signing out");
    assert_eq!(sockets.remove(0).close_code().await, 4403);
    assert_eq!(code_of(&refresh(&app.client, &person.refresh_token).await), "INVALID_CODE");
    assert!(other_device.is_signed_in().await, "another session was ended too");

    let third_device = person.sign_in().await;
    assert!(third_device.is_signed_in().await);
    third_device.sign_out(true).await;
    for device in [&other_device, &third_device] {
        assert!(!device.is_signed_in().await);
        assert_eq!(code_of(&refresh(&app.client, &device.refresh_token).await), "INVALID_CODE");
    }
    assert_eq!(sockets.remove(0).close_code().await, 4403);
    // Nobody else noticed.
    assert!(stranger.is_signed_in().await);
    let mut untouched = sockets.remove(0);
    untouched.send(json!({ "type": "ping" })).await;
    assert_eq!(untouched.receive().await, Received::Json(json!({ "type": "pong" })));
    drop(untouched);
    app.close().await;
}
