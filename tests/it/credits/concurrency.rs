//! Many callers at once: exactly those are admitted that the balance pays for, and no message is lost.

use std::collections::HashSet;

use diesel_async::SimpleAsyncConnection;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::books::{
    PATIENT, block_wallets, is_full_size, micro, number, rows, wait_until_blocked, wait_until_settled,
};
use crate::support::{
    app::{MODEL, SEND, TestApp, new_key},
    client::Client,
    provider::{Gate, Script},
};

/// Of a two-letter message and 64 tokens of output: 5 tokens in, 64 out, at 1,000 micro-credits each.
const COST: i64 = 69_000;

/// As [`PATIENT`], with more statements at a time than the credits pay for.
const CROWDED: &str = "[database]\nwait_ms = 30000\nrequest_pool = 44\n[limits]\n";

/// A message whose cap is the least the plan admits, so that lowering it cannot help.
async fn send_the_least(person: &Client) -> Value {
    person.send_text("Hi", json!({ "options": { "maxOutputTokens": 64 } })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_200_sends_over_credits_for_37_exactly_37_are_called_and_163_refused_with_numbers() {
    let rounds = if is_full_size() { 20 } else { 1 };
    // One micro-credit less than 38 of them cost.
    let app = TestApp::builder().credits("2.621999").settings(CROWDED).start().await;
    for round in 0..rounds {
        let person = app.client.sign_up().await;
        let called_before = app.provider.calls();
        let gate = Gate::default();
        app.provider.always(Script::text("Yes.", 1).usage(5, 10).gate(&gate));
        // More statements than can be paid for wait for the wallet before the first of them has it.
        let mut blocker = block_wallets(&app.db.url).await;
        let release = async {
            wait_until_blocked(&app.db.url, 40).await;
            blocker.batch_execute("COMMIT").await.unwrap();
        };
        let (answers, ()) = tokio::join!(join_all((0..200).map(|_| send_the_least(&person))), release);
        let (accepted, refused): (Vec<&Value>, Vec<&Value>) =
            answers.iter().partition(|sent| sent["userErrors"] == json!([]));
        assert_eq!((accepted.len(), refused.len()), (37, 163));
        for sent in &accepted {
            assert_eq!(sent["assistantMessage"]["generation"]["charge"]["creditsHeld"], "0.069000");
            assert_eq!(sent["assistantMessage"]["generation"]["isOutputCapped"], false);
        }
        for sent in &refused {
            let error = &sent["userErrors"][0];
            assert_eq!(error["code"], "INSUFFICIENT_CREDITS", "{error}");
            assert_eq!((&error["required"], &error["available"]), (&json!("0.069000"), &json!("0.068999")));
            assert_eq!(sent["conversation"], Value::Null);
        }
        app.provider.called(called_before + 37).await;
        assert_eq!(person.balance().await, ("0.068999".to_owned(), "2.553000".to_owned()));

        gate.open();
        wait_until_settled(&app.db.url).await;
        assert_eq!(app.provider.calls() - called_before, 37);
        assert_eq!(person.balance().await, ("2.066999".to_owned(), "0.000000".to_owned()));
        assert_chain(&person.ledger().await, 1 + 2 * 37);
        let next = person.ended_run(&send_the_least(&person).await).await;
        assert_eq!(next["charge"]["creditsCharged"], "0.015000");
        assert_eq!(app.provider.calls() - called_before, 38);
        println!("admission n=200 round={round} admitted={} refused={} ok", accepted.len(), refused.len());
    }
    // Nothing of a refused message was written.
    assert_eq!(number(&app.db.url, "SELECT count(*) FROM conversations").await, 38 * rounds);
    app.close().await;
}

/// Each entry continues the one before it, and none is below zero.
fn assert_chain(newest_first: &[Value], count: usize) {
    assert_eq!(newest_first.len(), count);
    let mut balance = 0;
    for entry in newest_first.iter().rev() {
        balance += micro(&entry["amount"]);
        assert_eq!(micro(&entry["balanceAfter"]), balance, "{entry}");
        assert!(balance >= 0, "{entry}");
        if entry["kind"] == "HOLD" {
            assert_eq!(micro(&entry["amount"]), -COST);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_sends_into_one_conversation_form_one_branch_and_lose_nothing() {
    let app = TestApp::builder().settings(PATIENT).start().await;
    let person = app.client.sign_up().await;
    let gate = Gate::default();
    app.provider.always(Script::text("Yes.", 1).usage(5, 1).gate(&gate));
    let first = send_the_least(&person).await;
    let conversation = first["conversation"]["id"].clone();
    let mut waiting: Vec<Value> = (0..20)
        .map(|number| {
            json!({ "input": {
                "conversationId": conversation, "parts": [{ "text": format!("message {number}") }],
                "model": MODEL, "options": { "maxOutputTokens": 64 }, "idempotencyKey": new_key(),
            } })
        })
        .collect();
    let (mut rounds, mut conflicts) = (0, 0);
    // A conflict is an answer too: it says to try again, and the same key makes that safe.
    while !waiting.is_empty() {
        rounds += 1;
        assert!(rounds <= 20, "a round in which nothing is accepted must not happen");
        let answers = join_all(waiting.iter().map(|input| person.gql(SEND, input.clone()))).await;
        let mut refused = Vec::new();
        for (input, answer) in waiting.into_iter().zip(answers) {
            match answer.user_errors("sendMessage") {
                [] => {}
                [error] if error["code"] == "CONFLICT" => refused.push(input),
                other => panic!("{other:?}"),
            }
        }
        waiting = refused;
        conflicts += waiting.len();
    }
    assert_one_branch(&app, 21).await;
    app.provider.called(21).await;
    gate.open();
    wait_until_settled(&app.db.url).await;
    assert_eq!(app.provider.calls(), 21);
    let shown = person
        .gql("query($id: ID!) { conversation(id: $id) { messageCount messages(first: 100) { nodes { text } } } }",
            json!({ "id": conversation }))
        .await;
    let shown = &shown.data()["conversation"];
    assert_eq!(shown["messageCount"], 42);
    let texts: Vec<&str> =
        shown["messages"]["nodes"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap()).collect();
    assert_eq!(texts.len(), 42);
    let asked: HashSet<String> = texts.iter().step_by(2).map(|&text| text.to_owned()).collect();
    let mut expected: HashSet<String> = (0..20).map(|number| format!("message {number}")).collect();
    expected.insert("Hi".to_owned());
    assert_eq!(asked, expected);
    assert!(texts.iter().skip(1).step_by(2).all(|&text| text == "Yes."));
    println!("one conversation n=20 rounds={rounds} conflicts={conflicts} ok");
    app.close().await;
}

/// One root, no message with two children, and nothing beside the branch that the head ends.
async fn assert_one_branch(app: &TestApp, turns: i64) {
    let url = &app.db.url;
    let forks = "SELECT parent_id FROM messages GROUP BY parent_id HAVING count(*) > 1";
    assert_eq!(rows(url, forks).await, Vec::<Value>::new());
    assert_eq!(number(url, "SELECT count(*) FROM messages WHERE parent_id IS NULL").await, 1);
    let reachable = "WITH RECURSIVE branch AS (
        SELECT m.id, m.parent_id FROM messages m JOIN conversations c ON c.head_id = m.id
        UNION ALL SELECT m.id, m.parent_id FROM branch JOIN messages m ON m.id = branch.parent_id)
        SELECT count(*) FROM branch";
    assert_eq!(number(url, reachable).await, 2 * turns);
    assert_eq!(number(url, "SELECT count(*) FROM messages").await, 2 * turns);
}
