//! What an operation costs is said in its answer, and too much is refused.

use serde_json::{Value, json};

use super::refused;
use crate::support::{
    app::{SEND, TestApp, WATCH},
    client::{Answer, Client},
    ws::{Event, Socket},
};

/// As GraphiQL sends it, with every part that it can ask for.
const GRAPHIQL: &str = "query IntrospectionQuery { __schema {
    queryType { name kind } mutationType { name kind } subscriptionType { name kind }
    types { ...FullType }
    directives { name description locations args(includeDeprecated: true) { ...InputValue } } } }
  fragment FullType on __Type { kind name description specifiedByURL isOneOf
    fields(includeDeprecated: true) { name description args(includeDeprecated: true) { ...InputValue }
      type { ...TypeRef } isDeprecated deprecationReason }
    inputFields(includeDeprecated: true) { ...InputValue } interfaces { ...TypeRef }
    enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
    possibleTypes { ...TypeRef } }
  fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
  fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name
    ofType { kind name ofType { kind name } } } } } }";

/// A page of 100 messages with all that belongs to each.
const FULL_PAGE: &str = "query($id: ID!) { conversation(id: $id) { id title model { key } messages(last: 100) {
    nodes { id role status author { id name } parts { index ... on TextPart { text } ... on ReasoningPart { text } }
      generation { id model { key } finishReason charge { creditsCharged usage { inputTokens outputTokens source } } }
      streamSequence createdAt }
    pageInfo { hasPreviousPage startCursor } } } }";

const NESTED: &str = "{ viewer { account {
    conversations(first: 100) { nodes {
      messages(first: 100) { nodes { conversation { messages(first: 100) { nodes { id } } } } } } } } } }";

async fn cost(client: &Client, query: &str, variables: Value) -> Value {
    own_cost(&client.gql(query, variables).await)
}

/// What the operation cost, without what is left of the budget; `rates::points` looks at that.
fn own_cost(answer: &Answer) -> Value {
    answer.data();
    let mut cost = answer.body["extensions"]["cost"].clone();
    assert!(cost.as_object_mut().unwrap().remove("throttle").is_some(), "{answer:?}");
    cost
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_says_what_it_cost() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let none = json!({});
    let id = "cnv_00000000000000000000000001";
    for (query, variables, requested, actual) in [
        ("{ __typename }", none.clone(), 0, 0),
        ("{ viewer { user { name } account { creditBalance { available } } } }", none.clone(), 4, 4),
        (GRAPHIQL, none.clone(), 10, 10),
        // There is no such conversation.
        (FULL_PAGE, json!({ "id": id }), 704, 1),
    ] {
        let cost = cost(&person, query, variables).await;
        assert_eq!(cost, json!({ "requested": requested, "actual": actual, "maximum": 2000 }), "{query}");
    }
    let sent = person
        .gql(
            SEND,
            json!({ "input": {
        "parts": [{ "text": "Hello" }], "model": "scripted", "idempotencyKey": "one-of-the-test" } }),
        )
        .await;
    assert!(sent.data()["sendMessage"]["userErrors"].is_array());
    assert_eq!(sent.body["extensions"]["cost"]["requested"], 17, "{sent:?}");
    let message = sent.data()["sendMessage"]["assistantMessage"]["id"].as_str().unwrap();
    // Over a socket too; the events after the first stay small.
    let socket = Socket::connect(&person).await;
    let mut watch = socket.subscribe(WATCH, json!({ "id": message })).await;
    let Event::Next(first) = watch.next().await else { panic!() };
    assert_eq!(first["extensions"]["cost"]["maximum"], 2000, "{first}");
    let mut later = 0;
    while let Event::Next(event) = watch.next().await {
        assert_eq!(event.get("extensions"), None);
        later += 1;
    }
    assert!(later > 0);
    drop((watch, socket));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_field_says_its_share_when_asked() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let query = "{ viewer { account { conversations(first: 20) { nodes { id head { id } } } } } }";
    let send = async |value: &str| {
        let body = json!({ "query": query }).to_string();
        let request = person.post(body).header("content-type", "application/json");
        own_cost(&person.send(request.header("GraphQL-Cost-Debug", value)).await)
    };
    assert_eq!(send("0").await, json!({ "requested": 43, "actual": 3, "maximum": 2000 }));
    assert_eq!(
        send("1").await["fields"],
        json!([
            { "coordinate": "Account.conversations", "cost": 21 },
            { "coordinate": "Conversation.head", "cost": 20 },
            { "coordinate": "Query.viewer", "cost": 1 },
            { "coordinate": "Viewer.account", "cost": 1 },
        ])
    );
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_costs_too_much_is_not_begun_and_says_where() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let errors = refused(&person, NESTED, json!({}), 400).await;
    let error = &errors[0];
    assert_eq!(error["message"], "This operation costs 1030203 points; the limit for one operation is 2000.");
    assert_eq!(
        error["extensions"],
        json!({
            "code": "QUERY_TOO_EXPENSIVE", "cost": 1_030_203, "maximum": 2000, "requestId": null, "docUrl": "/docs/errors#QUERY_TOO_EXPENSIVE",
            "costliest": [
                { "coordinate": "Conversation.messages", "cost": 1_020_100 },
                { "coordinate": "Message.conversation", "cost": 10_000 },
                { "coordinate": "Account.conversations", "cost": 101 },
            ],
        })
    );
    assert_eq!(error["locations"], json!([{ "line": 3, "column": 7 }]));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_is_the_operators() {
    let app = TestApp::builder().settings("[limits]\noperation_cost = 3").start().await;
    let person = app.client.sign_up().await;
    let fits = "{ viewer { user { name } account { name } } }";
    assert_eq!(cost(&person, fits, json!({})).await, json!({ "requested": 3, "actual": 3, "maximum": 3 }));
    let errors =
        refused(&person, "{ viewer { user { name } account { name plan { key } } } }", json!({}), 400).await;
    assert_eq!(
        (&errors[0]["extensions"]["cost"], &errors[0]["extensions"]["maximum"]),
        (&json!(4), &json!(3))
    );
    app.close().await;
}
