//! What a refusal says: the limit in numbers, how long to wait, and which plans would let the call through.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{OFFER, offered};
use crate::support::{
    app::{MODEL, new_key},
    client::{Answer, Client},
    provider::Script,
};

const SEND: &str = "mutation($input: SendMessageInput!) { sendMessage(input: $input) {
    conversation { id } assistantMessage { id } creditBalance { available held }
    quotas { meter window scope limit used held remaining resetsAt revision } userErrors { __typename code message field
        ... on QuotaExceededError { retryAfterSeconds upgradePlans { key }
            quota { meter window scope limit used held remaining resetsAt revision } }
        ... on PlanRequiredError { requires upgradePlans { key } }
        ... on InsufficientCreditsError { required available } } } }";

async fn send(person: &Client, model: &str) -> Answer {
    let input = json!({ "parts": [{ "text": "Hi" }], "model": model, "idempotencyKey": new_key() });
    person.gql(SEND, json!({ "input": input })).await
}

async fn send_and_end(person: &Client) {
    let sent = send(person, MODEL).await;
    let id = sent.data()["sendMessage"]["assistantMessage"]["id"].as_str().map(str::to_owned);
    person.wait_for_end(&id.unwrap_or_else(|| panic!("{sent:?}"))).await;
}

fn error(answer: &Answer) -> Value {
    match answer.user_errors("sendMessage") {
        [error] => error.clone(),
        _ => panic!("{answer:?}"),
    }
}

fn instant(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap_or_else(|| panic!("no instant: {value}")).parse().unwrap()
}

/// Asserts that waiting so long brings one from now to the reset, to the second.
fn assert_wait(seconds: i64, resets_at: DateTime<Utc>, before: DateTime<Utc>, after: DateTime<Utc>) {
    let wait_from = |now: DateTime<Utc>| (resets_at - now).num_milliseconds();
    // The reset is shown in whole milliseconds.
    assert!(seconds * 1000 >= wait_from(after), "{seconds} s end before {resets_at}");
    assert!((seconds - 1) * 1000 <= wait_from(before), "{seconds} s are more than a second too long");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_day_is_refused_with_its_numbers_its_wait_and_the_plans_beyond() {
    let app = offered(OFFER).await;
    let person = app.client.sign_up().await;
    app.provider.always(Script::text("Yes.", 1).usage(5, 10));
    for _ in 0..2 {
        send_and_end(&person).await;
    }
    let before = app.app.clock.now();
    let answer = send(&person, MODEL).await;
    let after = app.app.clock.now();
    let error = error(&answer);
    assert_eq!(
        (&error["__typename"], &error["code"]),
        (&json!("QuotaExceededError"), &json!("QUOTA_EXCEEDED"))
    );
    let resets_at = instant(&error["quota"]["resetsAt"]);
    assert_eq!(resets_at.time(), chrono::NaiveTime::MIN, "a day ends at midnight");
    let quota = json!({ "meter": "MESSAGES", "window": "DAY", "scope": "MEMBER", "limit": "2", "used": "2",
        "held": "0", "remaining": "0", "resetsAt": error["quota"]["resetsAt"],
        "revision": error["quota"]["revision"] });
    assert_eq!(error["quota"], quota);
    let seconds = error["retryAfterSeconds"].as_i64().unwrap();
    assert_wait(seconds, resets_at, before, after);
    assert_eq!(answer.header("retry-after"), seconds.to_string());
    // Small has a lower limit, Huge none.
    assert_eq!(error["upgradePlans"], json!([{ "key": "pro" }, { "key": "huge" }]));
    // What it would have drawn on, as it stands: the refused limit is the same there.
    let refused = &answer.data()["sendMessage"];
    let meters: Vec<_> = refused["quotas"].as_array().unwrap().iter().map(|quota| &quota["meter"]).collect();
    assert_eq!(meters, ["MESSAGES", "LLM_REQUESTS", "LLM_REQUESTS", "CREDITS"]);
    assert_eq!(refused["quotas"][0], error["quota"]);
    assert_eq!(refused["creditBalance"], json!({ "available": "99.970000", "held": "0.000000" }));

    // Beside another mutation, the header would speak for both.
    let two = "mutation($input: SendMessageInput!, $key: String!) {
        sendMessage(input: $input) { userErrors { code } }
        createConversation(input: { idempotencyKey: $key }) { userErrors { code } } }";
    let input = json!({ "parts": [{ "text": "Hi" }], "model": MODEL, "idempotencyKey": new_key() });
    let answer = person.gql(two, json!({ "input": input, "key": new_key() })).await;
    assert_eq!(answer.data()["sendMessage"]["userErrors"], json!([{ "code": "QUOTA_EXCEEDED" }]));
    assert_eq!(answer.header("retry-after"), "");
    println!("a_used_up_day_is_refused n=2 ok");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_minute_is_a_rate_limit_that_ends_with_its_oldest_call() {
    let offer = OFFER.replace("amount = 2\n", "amount = 20\n");
    let app = offered(&offer).await;
    let person = app.client.sign_up().await;
    app.provider.always(Script::text("Yes.", 1).usage(5, 10));
    let first_at = app.app.clock.now();
    for _ in 0..3 {
        send_and_end(&person).await;
    }
    let before = app.app.clock.now();
    let answer = send(&person, MODEL).await;
    let after = app.app.clock.now();
    let error = error(&answer);
    assert_eq!(
        (&error["__typename"], &error["code"]),
        (&json!("QuotaExceededError"), &json!("RATE_LIMITED"))
    );
    let resets_at = instant(&error["quota"]["resetsAt"]);
    assert!(
        resets_at > first_at + chrono::TimeDelta::seconds(60),
        "the first call is in the window until {resets_at}"
    );
    let seconds = error["retryAfterSeconds"].as_i64().unwrap();
    assert_wait(seconds, resets_at, before, after);
    assert_eq!(answer.header("retry-after"), seconds.to_string());
    // Small has no limit by minute, and one of a single message a day.
    assert_eq!(error["upgradePlans"], json!([{ "key": "pro" }, { "key": "huge" }]));
    println!("a_used_up_minute_is_a_rate_limit n=1 ok");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_more_than_the_whole_limit_never_passes_and_so_has_no_wait() {
    let limit =
        "[[plans.free.limits]]\nmeter = \"tokens\"\nwindow = \"day\"\nscope = \"account\"\namount = 3\n";
    let offer = OFFER.replace("[plans.huge]\n", &format!("{limit}[plans.huge]\n"));
    let app = offered(&offer).await;
    let person = app.client.sign_up().await;
    let answer = send(&person, MODEL).await;
    let error = error(&answer);
    assert_eq!(error["code"], "QUOTA_EXCEEDED");
    assert_eq!((&error["quota"]["meter"], &error["retryAfterSeconds"]), (&json!("TOKENS"), &Value::Null));
    assert_eq!(answer.header("retry-after"), "");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_the_plan_lacks_is_refused_with_the_plans_that_have_it() {
    let app = offered(OFFER).await;
    let person = app.client.sign_up().await;
    let answer = send(&person, "rare").await;
    let error = error(&answer);
    let expected = json!({ "__typename": "PlanRequiredError", "code": "PLAN_REQUIRED",
        "message": "The plan `Free` does not include the model `rare`.", "field": ["input", "model"],
        "requires": "rare", "upgradePlans": [{ "key": "pro" }, { "key": "huge" }] });
    assert_eq!(error, expected);
    assert_eq!(app.provider.calls(), 0);
    app.close().await;
}
