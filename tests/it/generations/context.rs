//! What of a conversation fits into a prompt: what the provider counted decides, and an estimate only of the rest.

use serde_json::{Value, json};

use crate::{
    credits::books::rows,
    support::{app::TestApp, provider::Script},
};

/// Models with a context of 1,000 tokens, of which an answer of 100 is kept free.
const SMALL: &str = "[models.small]\nprovider = \"scripted\"\ncontext_tokens = 1000\nmax_output_tokens = 100\n\
    prices = { input = \"1000\", output = \"1000\" }\n\
    [models.other]\nprovider = \"scripted\"\ncontext_tokens = 1000\nmax_output_tokens = 100\n\
    prices = { input = \"1000\", output = \"1000\" }\n";

/// Size of the newest prompt: what its hold counted on, and what was estimated of it.
async fn newest_prompt(app: &TestApp) -> (Value, Value) {
    let sql = "SELECT terms->'prompt_tokens' AS tokens, estimated_input_tokens AS estimated \
               FROM generations ORDER BY created_at DESC LIMIT 1";
    let row = rows(&app.db.url, sql).await.remove(0);
    (row["tokens"].clone(), row["estimated"].clone())
}

/// Texts that went to the provider with its newest call.
fn sent_texts(app: &TestApp) -> Vec<String> {
    let request = app.provider.requests().pop().unwrap();
    let messages = request.body["messages"].as_array().unwrap().clone();
    messages.iter().map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_counted_of_a_conversation_replaces_our_estimate_of_it() {
    let app = TestApp::builder().offer(|offer| offer.with(SMALL).models(&["*"])).start().await;
    let person = app.client.sign_up().await;
    let question = "q".repeat(1_500);
    app.provider.then(Script::text(&"a".repeat(900), 1).usage(250, 150));
    let first = person.send_text(&question, json!({ "model": "small" })).await;
    person.ended_run(&first).await;
    assert_eq!(newest_prompt(&app).await, (json!(504), json!(504)), "nobody has counted before the first");
    let in_it = json!({ "conversationId": first["conversation"]["id"], "model": "small" });
    // By the estimate the first turn would have to go: 504 + 304 + 304 leave no room for the answer.
    app.provider.then(Script::text("b", 1).usage(650, 1));
    let next = person.send_text(&"r".repeat(900), in_it.clone()).await;
    person.ended_run(&next).await;
    assert_eq!(
        newest_prompt(&app).await,
        (json!(1_112), json!(504 + 304 + 304)),
        "held as estimated: texts may change"
    );
    assert_eq!(sent_texts(&app), [question.clone(), "a".repeat(900), "r".repeat(900)]);
    // A stopped or failed run counts nothing: the count before it still does.
    app.provider.then(Script::status(500));
    let failed = person.send_text("fails", in_it.clone()).await;
    person.ended_run(&failed).await;
    app.provider.then(Script::text("c", 1).usage(700, 1));
    let next = person.send_text("s", in_it).await;
    person.ended_run(&next).await;
    assert_eq!(sent_texts(&app).len(), 6);
    let (held, estimated) = newest_prompt(&app).await;
    assert_eq!(held, estimated);
    // Another model has counted nothing here, so the oldest give way to the estimate of them.
    app.provider.then(Script::text("d", 1).usage(1, 1));
    let asked = json!({ "conversationId": first["conversation"]["id"], "model": "other" });
    person.ended_run(&person.send_text("t", asked).await).await;
    assert_eq!(sent_texts(&app).first().map(String::as_str), Some("r".repeat(900).as_str()));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_adds_to_each_prompt_is_held_from_the_second_turn_on() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    app.provider.then(Script::text("Yes.", 1).usage(300, 2));
    let first = person.send_text("Hi", json!({})).await;
    person.ended_run(&first).await;
    app.provider.then(Script::text("Yes.", 1).usage(311, 2));
    let in_it =
        json!({ "conversationId": first["conversation"]["id"], "options": { "maxOutputTokens": 64 } });
    let next = person.send_text("Hi", in_it).await;
    assert_eq!(next["assistantMessage"]["generation"]["charge"]["creditsHeld"], "0.375000");
    let run = person.ended_run(&next).await;
    assert_eq!(run["charge"]["creditsCharged"], "0.313000");
    let holds = rows(&app.db.url, "SELECT overrun FROM holds ORDER BY created_at").await;
    assert_eq!(holds.iter().map(|hold| &hold["overrun"]).collect::<Vec<_>>()[1], 0);
    app.close().await;
}
