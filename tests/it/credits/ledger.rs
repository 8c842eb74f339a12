//! The ledger in the API: its order, its pages, its kinds, and cursors that belong to their list.

use serde_json::{Value, json};

use super::books::{LEDGER, answer_id, micro};
use crate::support::{app::TestApp, client::Client, provider::Script};

/// Three answers that are paid for and one that fails: nine movements.
async fn with_nine_entries(app: &TestApp) -> (Client, Vec<Value>) {
    let person = app.client.sign_up().await;
    let mut sent = Vec::new();
    for _ in 0..3 {
        app.provider.then(Script::text("Yes.", 1).usage(5, 5));
        sent.push(person.send_text("Hi", json!({ "options": { "maxOutputTokens": 100 } })).await);
        person.wait_for_end(answer_id(&sent[sent.len() - 1])).await;
    }
    app.provider.then(Script::status(400));
    sent.push(person.send_text("Hi", json!({ "options": { "maxOutputTokens": 100 } })).await);
    person.wait_for_end(answer_id(&sent[3])).await;
    (person, sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_says_every_movement_newest_first() {
    let app = TestApp::start().await;
    let (person, sent) = with_nine_entries(&app).await;
    let entries = person.ledger().await;
    let kinds: Vec<&str> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["RELEASE", "HOLD", "SETTLE", "HOLD", "SETTLE", "HOLD", "SETTLE", "HOLD", "GRANT"]);
    let amounts: Vec<i64> = entries.iter().map(|entry| micro(&entry["amount"])).collect();
    assert_eq!(
        amounts,
        [105_000, -105_000, 95_000, -105_000, 95_000, -105_000, 95_000, -105_000, 100_000_000]
    );
    let mut balance = 0;
    for entry in entries.iter().rev() {
        balance += micro(&entry["amount"]);
        assert_eq!(micro(&entry["balanceAfter"]), balance);
        assert!(entry["id"].as_str().unwrap().starts_with("led_"));
        assert!(entry["user"]["id"].as_str().unwrap().starts_with("usr_"));
    }
    for (pair, sent) in entries.chunks(2).zip(sent.iter().rev()) {
        for entry in pair {
            assert_eq!(entry["subject"]["id"], sent["assistantMessage"]["generation"]["id"]);
            assert_eq!(entry["description"], "Answer of scripted");
        }
    }
    assert_eq!(entries[8]["subject"], Value::Null);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_ledger_join_without_a_gap_also_while_it_grows() {
    let app = TestApp::start().await;
    let (person, _) = with_nine_entries(&app).await;
    let whole = person.ledger().await;
    let mut joined: Vec<Value> = Vec::new();
    let mut after: Option<String> = None;
    for number in 0..5 {
        let page = person.ledger_page(2, after.as_deref(), None).await;
        joined.extend(page["nodes"].as_array().unwrap().iter().cloned());
        let info = &page["pageInfo"];
        assert_eq!(info["hasNextPage"], number < 4);
        assert_eq!(info["hasPreviousPage"], number > 0);
        let edges = page["edges"].as_array().unwrap();
        assert_eq!(info["startCursor"], edges[0]["cursor"]);
        assert_eq!(info["endCursor"], edges[edges.len() - 1]["cursor"]);
        for (edge, node) in edges.iter().zip(page["nodes"].as_array().unwrap()) {
            assert_eq!(edge["node"]["id"], node["id"]);
        }
        after = info["endCursor"].as_str().map(str::to_owned);
        if number == 1 {
            let sent = person.send_text("Hi", json!({ "options": { "maxOutputTokens": 100 } })).await;
            person.wait_for_end(answer_id(&sent)).await;
        }
    }
    assert_eq!(joined, whole);
    let beyond = person.ledger_page(2, after.as_deref(), None).await;
    assert_eq!(beyond["nodes"], json!([]));
    assert_eq!(
        beyond["pageInfo"],
        json!({ "hasNextPage": false, "hasPreviousPage": true, "startCursor": null, "endCursor": null })
    );
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_select_and_a_cursor_belongs_to_its_selection_and_account() {
    let app = TestApp::start().await;
    let (person, sent) = with_nine_entries(&app).await;
    let (stranger, _) = with_nine_entries(&app).await;
    let kinds_of = |page: &Value| -> Vec<String> {
        let nodes = page["nodes"].as_array().unwrap();
        nodes.iter().map(|node| node["kind"].as_str().unwrap().to_owned()).collect()
    };
    let ends = person.ledger_page(100, None, Some(&["SETTLE", "RELEASE"])).await;
    assert_eq!(kinds_of(&ends), ["RELEASE", "SETTLE", "SETTLE", "SETTLE"]);
    assert_eq!(kinds_of(&person.ledger_page(100, None, Some(&["GRANT"])).await), ["GRANT"]);
    assert_eq!(kinds_of(&person.ledger_page(100, None, Some(&[])).await).len(), 9);
    let page = person.ledger_page(2, None, Some(&["SETTLE", "RELEASE"])).await;
    let of_ends = page["pageInfo"]["endCursor"].as_str().unwrap();
    let rest = person.ledger_page(2, Some(of_ends), Some(&["SETTLE", "RELEASE"])).await;
    assert_eq!(kinds_of(&rest), ["SETTLE", "SETTLE"]);

    let of_all =
        person.ledger_page(1, None, None).await["pageInfo"]["endCursor"].as_str().unwrap().to_owned();
    let foreign =
        stranger.ledger_page(1, None, None).await["pageInfo"]["endCursor"].as_str().unwrap().to_owned();
    let messages = person
        .gql(
            "query($id: ID!) { conversation(id: $id) { messages(first: 1) { pageInfo { endCursor } } } }",
            json!({ "id": sent[0]["conversation"]["id"] }),
        )
        .await;
    let of_messages = messages.data()["conversation"]["messages"]["pageInfo"]["endCursor"].as_str().unwrap();
    for (cursor, kinds) in [
        (foreign.as_str(), None),
        (of_ends, None),
        (of_all.as_str(), Some(["SETTLE"])),
        (of_messages, None),
        ("", None),
        ("bm9uc2Vuc2U", None),
        ("%%%", None),
    ] {
        let variables = json!({ "first": 5, "after": cursor, "kinds": kinds });
        assert_eq!(person.gql(LEDGER, variables).await.code(), "BAD_USER_INPUT", "{cursor}");
    }
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_1_to_100_entries() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    for first in [0, -1, 101, i32::MAX, i32::MIN] {
        let refused = person.gql(LEDGER, json!({ "first": first })).await;
        assert_eq!(refused.code(), "BAD_USER_INPUT", "{first}");
        assert_eq!(refused.body["data"], json!({ "viewer": null }), "{first}");
    }
    for first in [1, 100] {
        assert_eq!(person.ledger_page(first, None, None).await["nodes"].as_array().unwrap().len(), 1);
    }
    app.close().await;
}
