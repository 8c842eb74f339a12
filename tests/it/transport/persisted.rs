//! Automatic persisted queries: a document that was sent once is named by its hash afterwards.

use reqwest::{Method, Url, header::CONTENT_TYPE};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::probe::Site;
use crate::support::{
    client::{Answer, Client},
    db::TestDb,
    ws::{RawSocket, Received},
};

const QUERY: &str = "query Persisted { __typename }";

fn extensions(document: &str) -> Value {
    let hash: String = Sha256::digest(document).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } })
}

async fn post(client: &Client, body: Value) -> Answer {
    client.send(client.post(body.to_string()).header(CONTENT_TYPE, "application/json")).await
}

/// By its hash alone.
async fn name(client: &Client, document: &str) -> Answer {
    post(client, json!({ "extensions": extensions(document) })).await
}

async fn bring(client: &Client, document: &str) -> Answer {
    post(client, json!({ "query": document, "extensions": extensions(document) })).await
}

async fn name_by_get(client: &Client, document: &str) -> Answer {
    let fields = [("extensions", extensions(document).to_string())];
    let url = Url::parse_with_params("http://x/graphql", fields).unwrap();
    let request = client.request(Method::GET, &format!("/graphql?{}", url.query().unwrap()));
    client.send(request.header("graphql-require-preflight", "1")).await
}

async fn name_by_socket(client: &Client, document: &str) -> Received {
    let mut socket = RawSocket::open(client).await;
    socket.init(client.token.as_deref()).await;
    let payload = json!({ "extensions": extensions(document) });
    socket.send(json!({ "type": "subscribe", "id": "1", "payload": payload })).await;
    socket.receive().await
}

fn assert_unknown(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.code()), (400, "PERSISTED_QUERY_NOT_FOUND"));
    assert_eq!(answer.errors()[0]["message"], "PersistedQueryNotFound");
    assert!(answer.body.get("data").is_none());
}

async fn site() -> (Site, TestDb) {
    let db = TestDb::create().await;
    (Site::start_on(&db.url, |_| {}, Vec::new()).await, db)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_known_by_its_hash_everywhere_after_a_member_has_sent_it() {
    let (site, _db) = site().await;
    let member = site.client.sign_up().await;
    assert_unknown(&name(&member, QUERY).await);
    assert_unknown(&name_by_get(&member, QUERY).await);
    let Received::Json(refusal) = name_by_socket(&member, QUERY).await else { panic!() };
    assert_eq!(refusal["type"], "error");
    assert_eq!(refusal["payload"][0]["extensions"]["code"], "PERSISTED_QUERY_NOT_FOUND");

    assert_eq!(bring(&member, QUERY).await.data()["__typename"], "Query");
    for client in [&member, &site.client] {
        assert_eq!(name(client, QUERY).await.data()["__typename"], "Query");
        assert_eq!(name_by_get(client, QUERY).await.data()["__typename"], "Query");
        let Received::Json(next) = name_by_socket(client, QUERY).await else { panic!() };
        assert_eq!(
            (&next["type"], &next["payload"]["data"]["__typename"]),
            (&json!("next"), &json!("Query"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_fills_the_memory_too() {
    let (site, _db) = site().await;
    let member = site.client.sign_up().await;
    let mut socket = RawSocket::open(&member).await;
    socket.init(member.token.as_deref()).await;
    let payload = json!({ "query": QUERY, "extensions": extensions(QUERY) });
    socket.send(json!({ "type": "subscribe", "id": "1", "payload": payload })).await;
    let Received::Json(next) = socket.receive().await else { panic!() };
    assert_eq!(next["type"], "next");
    assert_eq!(name(&site.client, QUERY).await.data()["__typename"], "Query");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_without_an_account_fills_the_memory_and_nothing_that_was_refused_does() {
    let (site, _db) = site().await;
    assert_eq!(bring(&site.client, QUERY).await.data()["__typename"], "Query");
    assert_unknown(&name(&site.client, QUERY).await);

    let member = site.client.sign_up().await;
    let deep = format!("{{ {} id {} }}", "a {".repeat(40), "}".repeat(40));
    assert_eq!(bring(&member, &deep).await.code(), "QUERY_TOO_DEEP");
    assert_unknown(&name(&member, &deep).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_document_is_bound_by_the_same_rules() {
    let (site, _db) = site().await;
    let member = site.client.sign_up().await;
    let mutation = "mutation Persisted { __typename }";
    assert_eq!(bring(&member, mutation).await.data()["__typename"], "Mutation");
    let answer = name_by_get(&member, mutation).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"));
    let other = json!({ "extensions": extensions(mutation), "operationName": "Other" });
    assert_eq!(post(&member, other).await.status.as_u16(), 400);
}

#[tokio::test]
async fn what_is_no_persisted_query_is_said_to_be_none() {
    let site = Site::start().await;
    let hash = extensions(QUERY)["persistedQuery"]["sha256Hash"].clone();
    for persisted in [
        json!({ "version": 2, "sha256Hash": hash }),
        json!({ "version": "1", "sha256Hash": hash }),
        json!({ "sha256Hash": hash }),
        json!({ "version": 1 }),
        json!({ "version": 1, "sha256Hash": "abc" }),
        json!({ "version": 1, "sha256Hash": "0".repeat(64) }),
        json!([]),
        json!(true),
    ] {
        let answer =
            post(&site.client, json!({ "query": QUERY, "extensions": { "persistedQuery": persisted } }))
                .await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, "BAD_USER_INPUT"), "{persisted}");
    }
    assert_eq!(site.probe.reached(), 0);
    let answer =
        post(&site.client, json!({ "query": QUERY, "extensions": { "persistedQuery": null } })).await;
    assert_eq!(answer.data()["__typename"], "Query");
}
