//! Making, renaming and removing.

use serde_json::json;

use super::{assert_refused, create, created, delete, read, update};
use crate::support::{
    app::{TestApp, new_key},
    provider::Script,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_made_read_renamed_and_removed() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let input = json!({ "title": "  Sea  ", "systemPrompt": "Be brief.", "model": "scripted", "idempotencyKey": new_key() });
    let payload = create(&person, input.clone()).await;
    let made = &payload["conversation"];
    assert_eq!(made["title"], "Sea");
    assert_eq!(made["systemPrompt"], "Be brief.");
    assert_eq!(made["model"], json!({ "key": "scripted" }));
    assert_eq!((&made["messageCount"], &made["head"]), (&json!(0), &json!(null)));
    // The same intent has the same result; another input under its key is refused.
    assert_eq!(create(&person, input.clone()).await["conversation"]["id"], made["id"]);
    let mut other = input;
    other["title"] = json!("Lake");
    assert_eq!(create(&person, other).await["userErrors"][0]["code"], "IDEMPOTENCY_KEY_REUSED");

    let id = made["id"].as_str().unwrap();
    let renamed = update(&person, id, json!({ "title": "Ocean" })).await;
    assert_eq!(renamed["conversation"]["title"], "Ocean");
    assert_eq!(renamed["conversation"]["systemPrompt"], "Be brief.", "an absent field changed");
    let reset = update(&person, id, json!({ "title": null, "systemPrompt": null, "model": null })).await;
    let empty = json!({ "id": id, "title": null, "systemPrompt": null, "model": null });
    assert_eq!(reset["conversation"], empty);
    assert_eq!(update(&person, id, json!({})).await["conversation"], empty);

    assert_eq!(delete(&person, id).await, json!({ "deletedId": id, "userErrors": [] }));
    assert_eq!(read(&person, id).await, json!(null));
    let again = delete(&person, id).await;
    assert_eq!(again["deletedId"], json!(null));
    assert_eq!(again["userErrors"][0]["code"], "NOT_FOUND");
    assert_refused(&update(&person, id, json!({ "title": "x" })).await, "NOT_FOUND", "conversationId");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_creations_under_one_key_make_one_conversation() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let input = json!({ "title": "Sea", "idempotencyKey": new_key() });
    let calls = (0..20).map(|_| create(&person, input.clone()));
    let payloads = futures_util::future::join_all(calls).await;
    for payload in &payloads {
        assert_eq!(payload["conversation"]["id"], payloads[0]["conversation"]["id"], "{payload}");
    }
    assert_eq!(app.db.lines("SELECT count(*)::text AS line FROM conversations").await, ["1"]);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_and_changes_nothing() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let id = created(&person, "Sea").await;
    // 200 characters are 800 bytes here: what counts is what people count.
    let (longest, longer) = ("🌊".repeat(200), "🌊".repeat(201));
    let long_prompt = "x".repeat(100_001);
    for (field, value) in [
        ("title", longer.as_str()),
        ("title", ""),
        ("title", "   "),
        ("title", "two\nlines"),
        ("title", "NUL\u{0}"),
        ("systemPrompt", ""),
        ("systemPrompt", "NUL\u{0}"),
        ("systemPrompt", &long_prompt),
        ("model", "no-such-model"),
        ("model", ""),
        ("model", "NUL\u{0}"),
    ] {
        let shown: String = value.chars().take(20).collect();
        println!("{field} {shown:?}");
        assert_refused(&create(&person, json!({ field: value })).await, "INVALID_INPUT", field);
        assert_refused(&update(&person, &id, json!({ field: value })).await, "INVALID_INPUT", field);
    }
    for key in ["", "1234567", "NUL\u{0}12345678", &"x".repeat(256)] {
        let refused = create(&person, json!({ "idempotencyKey": key })).await;
        assert_refused(&refused, "INVALID_INPUT", "idempotencyKey");
    }
    assert_eq!(app.db.lines("SELECT title AS line FROM conversations").await, ["Sea"]);
    assert_eq!(create(&person, json!({ "title": longest })).await["conversation"]["title"], longest);
    let widest = "x".repeat(100_000);
    assert_eq!(
        update(&person, &id, json!({ "systemPrompt": widest })).await["conversation"]["systemPrompt"],
        widest
    );
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_message_names_a_conversation_that_has_no_name() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    app.provider.always(Script::text("Wide.", 1).usage(3, 1));
    let long = format!("\n\n  How wide\u{7} is the sea? {}\nAnd how deep?", "x".repeat(100));
    for (title, text, expected) in [
        (None, "How wide is the sea?\nAnd how deep?", "How wide is the sea?".to_owned()),
        (None, long.as_str(), format!("How wide is the sea? {}", "x".repeat(59))),
        (Some("Mine"), "How wide is the sea?", "Mine".to_owned()),
    ] {
        let id = create(&person, json!({ "title": title })).await["conversation"]["id"].clone();
        let sent = person.send_text(text, json!({ "conversationId": id })).await;
        assert_eq!(sent["conversation"]["title"], expected.as_str());
        person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
        let read = read(&person, id.as_str().unwrap()).await;
        assert_eq!(read["title"], expected.as_str());
        assert_eq!(read["messageCount"], 2);
    }
    // A name that was taken away is made again from the next message.
    let id = created(&person, "Sea").await;
    update(&person, &id, json!({ "title": null })).await;
    let sent = person.send_text("And now?", json!({ "conversationId": id })).await;
    assert_eq!(sent["conversation"]["title"], "And now?");
    person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
    app.close().await;
}
