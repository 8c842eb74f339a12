//! What cannot be followed, corrected or removed, and what happens to answers in progress.

use serde_json::json;

use super::{branch, edit, regenerate, remove, select, send};
use crate::{
    credits::books::wait_until_settled,
    support::{
        app::{TestApp, new_key},
        provider::{Gate, Script},
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_not_ours_is_refused() {
    let app = TestApp::start().await;
    let (person, stranger) = (app.client.sign_up().await, app.client.sign_up().await);
    let turn = person.send_text("Hello", json!({})).await;
    let conversation = turn["conversation"]["id"].as_str().unwrap();
    let question = turn["userMessage"]["id"].as_str().unwrap();
    let answer = turn["assistantMessage"]["id"].as_str().unwrap();
    person.wait_for_end(answer).await;
    let theirs = stranger.send_text("Hello", json!({})).await;
    let their_conversation = theirs["conversation"]["id"].as_str().unwrap();
    stranger.wait_for_end(theirs["assistantMessage"]["id"].as_str().unwrap()).await;

    let refused = |payload: &serde_json::Value| {
        let error = &payload["userErrors"][0];
        (
            error["code"].as_str().unwrap_or("none").to_owned(),
            error["field"][1].as_str().unwrap_or("").to_owned(),
        )
    };
    let not_found = |field: &str| ("NOT_FOUND".to_owned(), field.to_owned());
    // A message of another conversation, of one's own or not, is none that can be followed.
    let payload = send(&stranger, their_conversation, Some(json!(answer)), "After yours").await;
    assert_eq!(refused(&payload), not_found("parentMessageId"));
    assert_eq!(refused(&regenerate(&stranger, answer).await), not_found("messageId"));
    assert_eq!(
        refused(&regenerate(&person, question).await),
        not_found("messageId"),
        "a question is no answer"
    );
    assert_eq!(refused(&select(&stranger, question).await), not_found("id"));
    assert_eq!(refused(&edit(&stranger, question, "Mine").await), not_found("messageId"));
    assert_eq!(refused(&edit(&person, answer, "Mine").await), not_found("messageId"), "answers stay");
    assert_eq!(refused(&remove(&stranger, question).await), not_found("id"));
    let (_, ids) = branch(&stranger, their_conversation, Some(answer), 25).await;
    assert!(ids.is_empty(), "the branch of another conversation was read");
    // A new conversation begins with a message that follows nothing.
    let refusal = person.send_text("Hello", json!({ "parentMessageId": answer })).await;
    assert_eq!(refused(&refusal), ("INVALID_INPUT".to_owned(), "parentMessageId".to_owned()));
    let (found, ids) = branch(&person, conversation, None, 25).await;
    assert_eq!(
        (found["messageCount"].clone(), ids),
        (json!(2), vec![question.to_owned(), answer.to_owned()])
    );
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_has_a_hundred_alternatives_at_most() {
    let app = TestApp::builder().credits("1000").start().await;
    let person = app.client.sign_up().await;
    let turn = person.send_text("Hello", json!({})).await;
    let answer = turn["assistantMessage"]["id"].as_str().unwrap();
    person.wait_for_end(answer).await;
    app.db
        .execute(
            "INSERT INTO messages (id, account_id, conversation_id, parent_id, depth, jump_id, jump_depth, role, status)
             SELECT uuid_v7(), account_id, conversation_id, parent_id, depth, jump_id, jump_depth, role, 'succeeded'
               FROM messages, generate_series(1, 98) WHERE role = 'assistant'",
        )
        .await;
    let turn = regenerate(&person, answer).await;
    assert_eq!(turn["userErrors"], json!([]), "the hundredth");
    person.wait_for_end(turn["assistantMessage"]["id"].as_str().unwrap()).await;
    let refused = regenerate(&person, answer).await;
    assert_eq!(refused["userErrors"][0]["code"], "INVALID_INPUT", "{refused}");
    assert_eq!(refused["userErrors"][0]["field"], json!(["input", "messageId"]));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_makes_one_alternative() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let turn = person.send_text("Hello", json!({})).await;
    let answer = turn["assistantMessage"]["id"].as_str().unwrap();
    person.wait_for_end(answer).await;
    let input = json!({ "messageId": answer, "idempotencyKey": new_key() });
    let mutation = "mutation($input: RegenerateMessageInput!) { regenerateMessage(input: $input) {
        userMessage { id } assistantMessage { id parent { id } } userErrors { code } } }";
    let call = || person.gql(mutation, json!({ "input": input }));
    let answers = futures_util::future::join_all((0..20).map(|_| call())).await;
    let first = &answers[0].data()["regenerateMessage"];
    assert_eq!(first["userMessage"]["id"], turn["userMessage"]["id"]);
    for other in &answers {
        assert_eq!(&other.data()["regenerateMessage"], first);
    }
    person.wait_for_end(first["assistantMessage"]["id"].as_str().unwrap()).await;
    assert_eq!(app.provider.calls(), 2);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_progress_ends_with_the_message_it_follows() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let gate = Gate::default();
    app.provider.then(Script::text("one two three", 3).gate_after(1, &gate));
    let turn = person.send_text("Hello", json!({})).await;
    let conversation = turn["conversation"]["id"].as_str().unwrap().to_owned();
    app.provider.called(1).await;
    let question = turn["userMessage"]["id"].as_str().unwrap();
    assert_eq!(remove(&person, question).await["deletedId"], question);
    app.provider.idle().await;
    wait_until_settled(&app.db.url).await;
    let (found, ids) = branch(&person, &conversation, None, 25).await;
    assert_eq!((&found["head"], &found["messageCount"], ids.len()), (&json!(null), &json!(0), 0));
    app.close().await;
}
