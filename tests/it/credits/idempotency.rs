//! Fifty callers with one key: one effect, fifty equal answers.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::books::{PATIENT, number, wait_until_settled};
use crate::support::{
    app::{MODEL, TestApp, new_key},
    provider::{Gate, Script},
};

const TWINS: usize = 50;

/// Everything that a payload of sending shows.
const SEND_ALL: &str = "mutation($input: SendMessageInput!) {
    sendMessage(input: $input) {
        conversation {
            id title systemPrompt messageCount createdAt updatedAt model { key } head { id }
            messages { nodes { id text status } }
        }
        userMessage { id text status parts { index } streamSequence createdAt }
        assistantMessage {
            id text status parts { index } streamSequence createdAt
            generation {
                id status requestedModel model { key } finishReason isOutputCapped createdAt firstOutputAt finishedAt
                revision error { code } charge { creditsHeld creditsCharged usage { inputTokens } }
            }
        }
        creditBalance { available held revision }
        userErrors { code message }
    }
}";

const CREATE_ALL: &str = "mutation($input: CreateConversationInput!) {
    createConversation(input: $input) {
        conversation { id title systemPrompt messageCount createdAt updatedAt model { key } head { id } }
        creditBalance { available held revision }
        userErrors { code message }
    }
}";

#[tokio::test(flavor = "multi_thread")]
async fn fifty_sends_with_one_key_are_one_call_one_charge_and_fifty_equal_answers() {
    let app = TestApp::builder().settings(PATIENT).start().await;
    let person = app.client.sign_up().await;
    let gate = Gate::default();
    app.provider.always(Script::text("Once.", 1).usage(5, 7).gate(&gate));
    let input = json!({ "input": {
        "parts": [{ "text": "Hi" }], "model": MODEL, "options": { "maxOutputTokens": 64 }, "idempotencyKey": new_key(),
    } });
    let answers = join_all((0..TWINS).map(|_| person.gql(SEND_ALL, input.clone()))).await;
    let first = answers[0].data();
    assert_eq!(first["sendMessage"]["userErrors"], json!([]));
    assert_eq!(first["sendMessage"]["creditBalance"]["held"], "0.069000");
    for answer in &answers {
        assert_eq!(answer.data(), first);
    }
    app.provider.called(1).await;
    assert_eq!(number(&app.db.url, "SELECT count(*) FROM holds").await, 1);
    gate.open();
    wait_until_settled(&app.db.url).await;
    assert_eq!(app.provider.calls(), 1);
    assert_eq!(number(&app.db.url, "SELECT count(*) FROM ledger_entries WHERE kind = 'settle'").await, 1);
    assert_eq!(number(&app.db.url, "SELECT count(*) FROM messages").await, 2);
    assert_eq!(person.balance().await, ("99.988000".to_owned(), "0.000000".to_owned()));

    // Afterwards the key shows the same turn as it stands now, and still costs nothing.
    let later = person.gql(SEND_ALL, input).await;
    let later = &later.data()["sendMessage"]["assistantMessage"];
    assert_eq!(later["id"], first["sendMessage"]["assistantMessage"]["id"]);
    assert_eq!((&later["status"], &later["text"]), (&json!("SUCCEEDED"), &json!("Once.")));
    assert_eq!(later["generation"]["charge"]["creditsCharged"], "0.012000");
    assert_eq!(app.provider.calls(), 1);
    println!("one key n={TWINS} calls={} ok", app.provider.calls());
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_conversations_with_one_key_are_one() {
    let app = TestApp::builder().settings(PATIENT).start().await;
    let person = app.client.sign_up().await;
    let input = json!({ "input": { "title": "Plans", "systemPrompt": "Be short.", "model": MODEL, "idempotencyKey": new_key() } });
    let answers = join_all((0..TWINS).map(|_| person.gql(CREATE_ALL, input.clone()))).await;
    let first = answers[0].data();
    assert_ne!(first["createConversation"]["conversation"], Value::Null);
    for answer in &answers {
        assert_eq!(answer.data(), first);
    }
    assert_eq!(number(&app.db.url, "SELECT count(*) FROM conversations").await, 1);
    assert_eq!(number(&app.db.url, "SELECT count(*) FROM idempotency_keys").await, 1);
    println!("one conversation key n={TWINS} ok");
    app.close().await;
}
