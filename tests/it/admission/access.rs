//! An operation of which the caller may do nothing is not begun; a credential that is no good closes what is not public.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{code, refused};
use crate::support::{
    app::TestApp,
    client::Client,
    ws::{Event, RawSocket, Socket},
};

const CLOSED: &str = "{ message(id: \"nonsense\") { id } ...More }
    fragment More on Query { conversation(id: 5) { id } }";

#[tokio::test(flavor = "multi_thread")]
async fn who_may_do_nothing_of_it_hears_that_first() {
    let app = TestApp::start().await;
    let unknown = "subscription($id: ID!) { messageStream(messageId: $id) { sequence } }";
    for query in [CLOSED, "mutation { signOut(input: { everywhere: 7 }) { isAccepted } }"] {
        assert_eq!(code(&refused(&app.client, query, json!({}), 401).await), "UNAUTHENTICATED", "{query}");
    }
    let socket = Socket::connect(&app.client).await;
    let Event::Error(errors) = socket.subscribe(unknown, json!({})).await.next().await else { panic!() };
    assert_eq!(errors[0]["extensions"]["code"], "UNAUTHENTICATED");
    let older = app.client.post(json!({ "query": CLOSED }).to_string());
    let older = older.header("content-type", "application/json").header("accept", "application/json");
    let answer = app.client.send(older).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (200, "UNAUTHENTICATED"));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_partly_public_runs_and_the_rest_fails_at_its_field() {
    let app = TestApp::start().await;
    let query = "{ models { key } message(id: \"msg_00000000000000000000000001\") { id } }";
    let answer = app.client.gql(query, json!({})).await;
    assert_eq!(answer.status.as_u16(), 200);
    assert!(answer.body["data"]["models"].is_array());
    assert_eq!(answer.body["data"]["message"], Value::Null);
    assert_eq!((answer.code(), &answer.errors()[0]["path"]), ("UNAUTHENTICATED", &json!(["message"])));
    app.close().await;
}

/// A client whose credential is of no use, with the code that says why.
async fn useless(app: &TestApp) -> [(Client, &'static str); 3] {
    let [expired, ended] = [app.client.sign_up().await, app.client.sign_up().await];
    ended.gql("mutation { signOut(input: { everywhere: true }) { isAccepted } }", json!({})).await.data();
    app.app.clock.advance(TimeDelta::minutes(30));
    let answer = ended.gql("{ viewer { user { id } } }", json!({})).await;
    assert_eq!(answer.code(), "UNAUTHENTICATED");
    app.app.clock.advance(TimeDelta::minutes(31));
    [
        (expired, "TOKEN_EXPIRED"),
        (ended, "TOKEN_EXPIRED"),
        (app.client.with_token("not.a.token"), "UNAUTHENTICATED"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_of_no_use_does_not_close_what_is_public() {
    let app = TestApp::start().await;
    let join = "mutation($input: SignUpInput!) {
        signUp(input: $input) { viewer { user { name } } tokens { accessToken } userErrors { code } } }";
    for (n, (client, reason)) in useless(&app).await.into_iter().enumerate() {
        assert!(client.gql("{ models { key } }", json!({})).await.data()["models"].is_array());
        let input = json!({ "email": format!("p{n}@example.com"), "password": "violet-tractor-lantern", "name": "P" });
        let joined = client.gql(join, json!({ "input": input })).await;
        assert_eq!(joined.data()["signUp"]["viewer"]["user"]["name"], "P", "{joined:?}");
        assert!(joined.data()["signUp"]["tokens"]["accessToken"].is_string());
        // What needs a person says why the credential is none, alone and beside what is public.
        let node = "{ node(id: \"msg_00000000000000000000000001\") { id } }";
        for query in ["{ viewer { user { id } } }", node, "{ __typename }", CLOSED] {
            let answer = client.gql(query, json!({})).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (401, reason), "{query}");
            assert!(answer.body.get("data").is_none());
        }
        let both = client.gql("{ models { key } viewer { user { id } } }", json!({})).await;
        assert_eq!((both.status.as_u16(), both.code()), (200, reason));
        assert!(both.body["data"]["models"].is_array());
        assert_eq!(both.body["data"]["viewer"], Value::Null);
    }
    let malformed = app.client.post(json!({ "query": "{ models { key } }" }).to_string());
    let malformed = malformed.header("content-type", "application/json").header("authorization", "Basic abc");
    assert!(app.client.send(malformed).await.data()["models"].is_array());
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_still_ends_for_a_credential_of_no_use() {
    let app = TestApp::start().await;
    for (client, reason) in useless(&app).await {
        let mut socket = RawSocket::open(&app.client).await;
        let bearer = format!("Bearer {}", client.token.unwrap());
        socket.send(json!({ "type": "connection_init", "payload": { "authorization": bearer } })).await;
        assert_eq!(socket.close_code().await, if reason == "TOKEN_EXPIRED" { 4403 } else { 4401 });
    }
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_no_message_is_refused_before_it_begins() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let socket = Socket::connect(&person).await;
    let watch = "subscription($id: ID!) { messageStream(messageId: $id) { sequence } }";
    for id in ["msg_00000000000000000000000001", "nonsense"] {
        let Event::Error(errors) = socket.subscribe(watch, json!({ "id": id })).await.next().await else {
            panic!("{id}")
        };
        assert_eq!(errors[0]["extensions"]["code"], "BAD_USER_INPUT", "{errors}");
    }
    drop(socket);
    app.close().await;
}
