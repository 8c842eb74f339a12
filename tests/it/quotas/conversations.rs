//! Limits on conversations: an empty one counts like one that begins with a message, once for its key, and never beyond.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::offered;
use crate::{
    credits::number,
    support::{
        app::{MODEL, new_key},
        catalog::Offer,
        client::{Answer, Client},
        provider::Script,
    },
};

const TWO_A_DAY: &str =
    "[[plans.default.limits]]\nmeter = \"conversations\"\nwindow = \"day\"\nscope = \"member\"\namount = 2\n";
const CREATE: &str = "mutation($input: CreateConversationInput!) { createConversation(input: $input) {
    conversation { id } creditBalance { available held }
    quotas { meter window scope limit used held remaining resetsAt }
    userErrors { __typename code message field
        ... on QuotaExceededError { retryAfterSeconds quota { meter window scope limit used held remaining resetsAt } } } } }";

async fn create(person: &Client, key: &str) -> Answer {
    person.gql(CREATE, json!({ "input": { "title": "New", "idempotencyKey": key } })).await
}

async fn created(person: &Client, key: &str) -> Value {
    let payload = create(person, key).await.data()["createConversation"].clone();
    assert_eq!(payload["userErrors"], json!([]));
    payload
}

/// The only limit, so much used.
fn assert_used(payload: &Value, used: u32) {
    let quota = &payload["quotas"][0];
    let expected = json!([{ "meter": "CONVERSATIONS", "window": "DAY", "scope": "MEMBER", "limit": "2",
        "used": used.to_string(), "held": "0", "remaining": (2 - used).to_string(), "resetsAt": quota["resetsAt"] }]);
    assert_eq!(payload["quotas"], expected);
    assert_ne!(quota["resetsAt"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_conversations_count_in_the_limit_and_the_same_key_counts_once() {
    let app = offered(&Offer::default().plan(TWO_A_DAY).text()).await;
    let person = app.client.sign_up().await;
    let key = new_key();
    let first = created(&person, &key).await;
    assert_used(&first, 1);
    assert_eq!(first["creditBalance"], json!({ "available": "100.000000", "held": "0.000000" }));
    assert_eq!(created(&person, &key).await, first, "the same key draws nothing");
    assert_used(&created(&person, &new_key()).await, 2);

    let refused_key = new_key();
    let answer = create(&person, &refused_key).await;
    let payload = &answer.data()["createConversation"];
    assert_eq!(payload["conversation"], Value::Null);
    assert_eq!(payload["creditBalance"], first["creditBalance"]);
    assert_used(payload, 2);
    let error = &payload["userErrors"][0];
    assert_eq!(
        (&error["__typename"], &error["code"]),
        (&json!("QuotaExceededError"), &json!("QUOTA_EXCEEDED"))
    );
    assert_eq!(error["message"], "The limit of 2 new conversations a day is reached.");
    let quota = json!({ "meter": "CONVERSATIONS", "window": "DAY", "scope": "MEMBER", "limit": "2", "used": "2",
        "held": "0", "remaining": "0", "resetsAt": error["quota"]["resetsAt"] });
    assert_eq!(error["quota"], quota);
    assert_eq!(answer.header("retry-after"), error["retryAfterSeconds"].to_string());
    // Neither the other way round the limit, nor a repeat of what was made.
    let sent = person.send_text("Hi", json!({})).await;
    assert_eq!(sent["userErrors"][0]["code"], "QUOTA_EXCEEDED");
    assert_used(&created(&person, &key).await, 2);

    let url = &app.db.url;
    assert_eq!(number(url, "SELECT count(*) FROM conversations").await, 2);
    assert_eq!(
        number(url, "SELECT count(*) FROM holds WHERE purpose = 'conversation' AND state = 'settled'").await,
        2
    );
    let refused = format!("SELECT count(*) FROM idempotency_keys WHERE key = '{refused_key}'");
    assert_eq!(number(url, &refused).await, 0, "a refusal leaves its key free");
    println!("empty_conversations_count n=2 ok");
    // The books are checked at the end.
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_into_a_new_conversation_counts_one_and_into_an_empty_one_none() {
    let app = offered(&Offer::default().plan(TWO_A_DAY).text()).await;
    let person = app.client.sign_up().await;
    app.provider.always(Script::text("Yes.", 1).usage(5, 2));
    let sent = person.send_text("Hi", json!({})).await;
    person.ended_run(&sent).await;
    let key = new_key();
    let made = created(&person, &key).await;
    assert_used(&made, 2);
    let into = json!({ "conversationId": made["conversation"]["id"], "model": MODEL });
    person.ended_run(&person.send_text("Hi", into).await).await;
    assert_used(&created(&person, &key).await, 2);
    // What was removed was made all the same.
    let remove = "mutation($id: ID!) { deleteConversation(input: { id: $id }) { deletedId } }";
    person.gql(remove, json!({ "id": made["conversation"]["id"] })).await.data();
    let refused = create(&person, &new_key()).await;
    assert_eq!(refused.user_errors("createConversation")[0]["code"], "QUOTA_EXCEEDED");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_makes_exactly_as_many_conversations_as_the_limit_allows() {
    let app = offered(&Offer::default().plan(TWO_A_DAY).text()).await;
    let person = app.client.sign_up().await;
    // Each key twice.
    let keys: Vec<String> = (0..10).map(|_| new_key()).collect();
    let answers = join_all(keys.iter().chain(&keys).map(|key| create(&person, key))).await;
    let is_made = |answer: &&Answer| answer.data()["createConversation"]["conversation"] != Value::Null;
    let made = answers.iter().filter(is_made).count();
    assert!((2..=4).contains(&made), "{made}");
    for refused in answers.iter().filter(|answer| !is_made(answer)) {
        assert_eq!(refused.user_errors("createConversation")[0]["code"], "QUOTA_EXCEEDED");
    }
    assert_eq!(number(&app.db.url, "SELECT count(*) FROM conversations").await, 2);
    println!("a_crowd_makes_exactly n=2 of 20 ok");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_limit_on_conversations_nothing_is_drawn_on() {
    let app = offered(&Offer::default().text()).await;
    let person = app.client.sign_up().await;
    assert_eq!(created(&person, &new_key()).await["quotas"], json!([]));
    assert_eq!(number(&app.db.url, "SELECT count(*) FROM holds").await, 0);
    app.close().await;
}
