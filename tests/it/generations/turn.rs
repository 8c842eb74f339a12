//! One turn: what is returned at once, what is streamed, what it costs.

use serde_json::json;

use crate::support::{
    app::{SEND, TestApp, new_key},
    provider::{Gate, Script},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_held_streamed_and_settled_to_the_usage_of_the_provider() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    app.provider.then(Script::text("The sea is wide.", 4).usage(12, 5));
    let sent =
        person.send_text("Tell me about the sea.", json!({ "options": { "maxOutputTokens": 100 } })).await;
    assert_eq!(sent["userErrors"], json!([]));
    assert_eq!(sent["assistantMessage"]["status"], "QUEUED");
    assert_eq!(sent["conversation"]["title"], "Tell me about the sea.");
    // 22 bytes are estimated as 8 tokens, 4 more for the message; 100 tokens of output.
    assert_eq!(sent["assistantMessage"]["generation"]["charge"]["creditsHeld"], "0.112000");
    assert_eq!(sent["creditBalance"]["held"], "0.112000");

    let end = person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
    assert_eq!(end["__typename"], "MessageFinished");
    assert_eq!(end["message"]["text"], "The sea is wide.");
    let charge = &end["message"]["generation"]["charge"];
    assert_eq!(charge["creditsCharged"], "0.017000");
    assert_eq!(charge["usage"], json!({ "inputTokens": 12, "outputTokens": 5, "source": "PROVIDER" }));
    assert_eq!(person.balance().await, ("99.983000".to_owned(), "0.000000".to_owned()));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_key_gets_the_first_result_and_costs_nothing() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let gate = Gate::default();
    app.provider.always(Script::text("Once.", 1).usage(3, 1).gate(&gate));
    let input =
        json!({ "input": { "parts": [{ "text": "Hi" }], "model": "scripted", "idempotencyKey": new_key() } });
    let first = person.gql(SEND, input.clone()).await;
    let again = person.gql(SEND, input.clone()).await;
    assert_eq!(first.data(), again.data());
    let mut other = input.clone();
    other["input"]["parts"][0]["text"] = json!("Something else");
    let refused = person.gql(SEND, other).await;
    assert_eq!(refused.user_errors("sendMessage")[0]["code"], "IDEMPOTENCY_KEY_REUSED");
    gate.open();
    person.wait_for_end(first.data()["sendMessage"]["assistantMessage"]["id"].as_str().unwrap()).await;
    assert_eq!(app.provider.calls(), 1);
    app.close().await;
}
