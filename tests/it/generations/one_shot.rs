//! A call outside any conversation: answered, watched, stopped and paid for like any other, seen by nobody else, and gone
//! after a day.

use diesel_async::SimpleAsyncConnection;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::{cancel::cancel, fed::ROOMY};
use crate::support::{
    app::{MODEL, TestApp, new_key},
    binary::{Binary, Launch},
    client::{Answer, Client},
    db::TestDb,
    feed::Feed,
    provider::{Gate, Script, ScriptedProvider},
    reader::{Got, Reader},
    restart::{SIGNING_KEY, check_ledger},
    rows::{connect, message_uuid, row, row_when, rows},
    ws::{Event, Socket},
};

const GENERATE: &str = "mutation Generate($input: GenerateInput!) {
    generate(input: $input) {
        generation { id status requestedModel charge { creditsHeld creditsCharged }
            message { id status text streamSequence role conversation { id } parent { id } siblings { id } generation { id } } }
        creditBalance { available held }
        quotas { meter used }
        userErrors { code message field }
    }
}";

/// Where a call of a model is seen.
const LOOK: &str = "query($message: ID!, $generation: ID!) {
    message(id: $message) { text conversation { id } siblings { id } }
    generation(id: $generation) { status message { text } }
    node(id: $message) { id }
}";

/// A call of one turn; more of the input may be given.
fn call(more: Value) -> Value {
    let mut input =
        json!({ "turns": [{ "user": [{ "text": "Hi" }] }], "model": MODEL, "idempotencyKey": new_key() });
    for (name, value) in more.as_object().into_iter().flatten() {
        input[name] = value.clone();
    }
    json!({ "input": input })
}

/// Another model with so much context.
fn tiny(context: u32) -> String {
    format!(
        "[models.tiny]\nprovider = \"scripted\"\ncontext_tokens = {context}\nmax_output_tokens = 20\nprices = {{ input = \"1\", output = \"2\" }}\n"
    )
}

async fn generate(person: &Client, variables: Value) -> Value {
    person.gql(GENERATE, variables).await.data()["generate"].clone()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}

/// Ids of the answer and of its run.
fn ids(payload: &Value) -> (String, String) {
    assert_eq!(payload["userErrors"], json!([]), "{payload}");
    (text(&payload["generation"]["message"]["id"]), text(&payload["generation"]["id"]))
}

async fn look(person: &Client, message: &str, generation: &str) -> Value {
    person.gql(LOOK, json!({ "message": message, "generation": generation })).await.data().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_outside_a_conversation_is_sent_as_given_and_leaves_its_answer_alone() {
    // It counts as a message, and not as a conversation, of which there may be none.
    let limits = ["messages", "conversations"].map(|meter| {
        let amount = if meter == "messages" { 5 } else { 0 };
        format!("[[plans.default.limits]]\nmeter = \"{meter}\"\nwindow = \"day\"\namount = {amount}\n")
    });
    let app = TestApp::builder().offer(|offer| offer.plan(&limits.concat())).start().await;
    let person = app.client.sign_up().await;
    app.provider.then(Script::text("Madrid.", 2).usage(30, 2));
    let turns = json!([
        { "user": [{ "text": "The capital of France?" }] },
        { "assistant": [{ "text": "Paris." }] },
        { "user": [{ "text": "And of Spain?" }, { "text": "One word." }] },
    ]);
    let options = json!({ "maxOutputTokens": 100, "temperature": 0.5 });
    let more = json!({ "turns": turns, "systemPrompt": "Be brief.", "options": options });
    let payload = generate(&person, call(more)).await;
    let (message, generation) = ids(&payload);
    let shown = &payload["generation"]["message"];
    assert_eq!((&payload["generation"]["status"], &shown["status"]), (&json!("QUEUED"), &json!("QUEUED")));
    assert_eq!((&shown["conversation"], &shown["parent"]), (&json!(null), &json!(null)));
    assert_eq!(shown["siblings"], json!([{ "id": message }]));
    assert_eq!(shown["generation"]["id"], json!(generation));
    assert_eq!(payload["creditBalance"]["held"], payload["generation"]["charge"]["creditsHeld"]);
    let meters: Vec<_> = payload["quotas"].as_array().unwrap().iter().map(|quota| &quota["meter"]).collect();
    assert_eq!(meters, ["MESSAGES", "CREDITS"]);
    let end = person.wait_for_end(&message).await;
    assert_eq!((&end["__typename"], &end["message"]["text"]), (&json!("MessageFinished"), &json!("Madrid.")));
    assert_eq!(end["message"]["generation"]["charge"]["creditsCharged"], "0.032000");
    assert_eq!(person.balance().await, ("99.968000".to_owned(), "0.000000".to_owned()));
    let sent = app.provider.requests()[0].body.clone();
    let expected = json!([
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": "The capital of France?" },
        { "role": "assistant", "content": "Paris." },
        { "role": "user", "content": "And of Spain?\n\nOne word." },
    ]);
    assert_eq!((&sent["messages"], &sent["temperature"]), (&expected, &json!(0.5)));
    let seen = look(&person, &message, &generation).await;
    assert_eq!((&seen["message"]["text"], &seen["node"]["id"]), (&json!("Madrid."), &json!(message)));
    assert_eq!(seen["generation"], json!({ "status": "SUCCEEDED", "message": { "text": "Madrid." } }));
    // Nothing but the answer is stored, and nothing that a conversation has.
    let query = "SELECT (SELECT count(*) FROM messages) AS messages, (SELECT count(*) FROM conversations) AS conversations,
                        (SELECT count(*) FROM conversation_events) AS events, (SELECT count(*) FROM generations) AS generations";
    let expected = json!({ "messages": 1, "conversations": 0, "events": 0, "generations": 1 });
    assert_eq!(row(&app.db.url, query).await, expected);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_one_call_and_who_waits_gets_its_text() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let gate = Gate::default();
    app.provider.always(Script::text("Once.", 1).usage(3, 1).gate(&gate));
    let variables = call(json!({}));
    let first = generate(&person, variables.clone()).await;
    let again = generate(&person, variables.clone()).await;
    assert_eq!(ids(&first), ids(&again));
    let mut other = variables.clone();
    other["input"]["turns"][0]["user"][0]["text"] = json!("Something else");
    assert_eq!(generate(&person, other).await["userErrors"][0]["code"], "IDEMPOTENCY_KEY_REUSED");
    // Keys of the other operations are of their own.
    let key = variables["input"]["idempotencyKey"].clone();
    let sent = person.send_text("Hi", json!({ "idempotencyKey": key })).await;
    assert_eq!(sent["userErrors"], json!([]));
    gate.open();
    person.wait_for_end(&ids(&first).0).await;
    person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
    let waiting = async |variables: Value| -> Answer {
        let body = json!({ "query": GENERATE, "variables": variables }).to_string();
        let request = person.post(body).header(CONTENT_TYPE, "application/json").header("prefer", "wait=30");
        person.send(request).await
    };
    for (variables, applied) in [(variables, ""), (call(json!({})), "wait=30")] {
        let answer = waiting(variables).await;
        assert_eq!(answer.header("preference-applied"), applied);
        let run = &answer.data()["generate"]["generation"];
        assert_eq!((&run["status"], &run["message"]["status"]), (&json!("SUCCEEDED"), &json!("SUCCEEDED")));
        assert_eq!(
            (&run["message"]["text"], &run["message"]["streamSequence"]),
            (&json!("Once."), &json!(2))
        );
    }
    assert_eq!(app.provider.calls(), 3);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_model_is_asked_is_refused_where_it_stands() {
    let app = TestApp::builder().offer(|offer| offer.models(&[MODEL])).catalog(&tiny(1000)).start().await;
    let person = app.client.sign_up().await;
    let user = |text: &str| json!({ "user": [{ "text": text }] });
    let said = |text: &str| json!({ "assistant": [{ "text": text }] });
    let cases = [
        (json!({ "turns": [] }), "INVALID_INPUT", "turns"),
        (json!({ "turns": vec![user("Hi"); 100] }), "", ""),
        (json!({ "turns": [user("Hi"), said("Yes?")] }), "INVALID_INPUT", "turns.1"),
        (
            json!({ "turns": [user("Hi"), said(""), user("Well?")] }),
            "INVALID_INPUT",
            "turns.1.assistant.0.text",
        ),
        (json!({ "turns": [{ "user": [] }] }), "INVALID_INPUT", "turns.0.user"),
        (json!({ "turns": [user("Hi"), user("  ")] }), "INVALID_INPUT", "turns.1.user"),
        (
            json!({ "turns": [{ "user": vec![json!({ "text": "Hi" }); 21] }] }),
            "INVALID_INPUT",
            "turns.0.user",
        ),
        (json!({ "turns": [user("a\0b")] }), "INVALID_INPUT", "turns.0.user.0.text"),
        (json!({ "turns": [user(&"x".repeat(100_001))] }), "INVALID_INPUT", "turns.0.user.0.text"),
        (json!({ "systemPrompt": "" }), "INVALID_INPUT", "systemPrompt"),
        (json!({ "model": "nobody" }), "INVALID_INPUT", "model"),
        (json!({ "model": "tiny" }), "PLAN_REQUIRED", "model"),
        (json!({ "options": { "temperature": 3 } }), "INVALID_INPUT", "options.temperature"),
        (json!({ "options": { "maxCredits": "0.000001" } }), "INSUFFICIENT_CREDITS", "options.maxCredits"),
        (json!({ "idempotencyKey": "short" }), "INVALID_INPUT", "idempotencyKey"),
    ];
    for (more, code, field) in &cases {
        let payload = generate(&person, call(more.clone())).await;
        if code.is_empty() {
            person.wait_for_end(&ids(&payload).0).await;
            continue;
        }
        let path: Vec<&str> = std::iter::once("input").chain(field.split('.')).collect();
        let error = &payload["userErrors"][0];
        assert_eq!((&error["code"], &error["field"]), (&json!(code), &json!(path)), "{more}: {payload}");
        assert_eq!(payload["generation"], Value::Null);
    }
    assert_eq!(app.provider.calls(), 1);
    println!("one_shot refusals n={} ok", cases.len());
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_turns_give_way_and_too_long_a_question_is_named() {
    let app = TestApp::builder().catalog(&tiny(100)).start().await;
    let person = app.client.sign_up().await;
    let long = |mark: &str| json!({ "user": [{ "text": mark.repeat(120) }] });
    let turns = json!([long("a"), long("b"), { "user": [{ "text": "Well?" }] }]);
    let payload = generate(&person, call(json!({ "turns": turns, "model": "tiny" }))).await;
    person.wait_for_end(&ids(&payload).0).await;
    let sent = app.provider.requests()[0].body["messages"].clone();
    assert_eq!(
        sent,
        json!([{ "role": "user", "content": "b".repeat(120) }, { "role": "user", "content": "Well?" }])
    );
    let turns = json!([{ "user": [{ "text": "Hi" }] }, { "user": [{ "text": "x".repeat(400) }] }]);
    let refused = generate(&person, call(json!({ "turns": turns, "model": "tiny" }))).await;
    let error = &refused["userErrors"][0];
    assert_eq!(
        (&error["code"], &error["field"]),
        (&json!("CONTEXT_TOO_LONG"), &json!(["input", "turns", "1", "user"]))
    );
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_neither_pays_with_the_account_nor_sees_the_answer() {
    let app = TestApp::start().await;
    let (owner, stranger) = (app.client.sign_up().await, app.client.sign_up().await);
    let answer = owner.gql("{ viewer { account { id } } }", json!({})).await;
    let account = answer.data()["viewer"]["account"]["id"].clone();
    let gate = Gate::default();
    app.provider.then(Script::text("A secret.", 1).usage(1, 1).gate(&gate));
    let (message, generation) = ids(&generate(&owner, call(json!({ "accountId": account }))).await);
    for is_over in [false, true] {
        let refused = generate(&stranger, call(json!({ "accountId": account }))).await;
        let error = &refused["userErrors"][0];
        assert_eq!((&error["code"], &error["field"]), (&json!("NOT_FOUND"), &json!(["input", "accountId"])));
        let unseen = json!({ "message": null, "generation": null, "node": null });
        assert_eq!(look(&stranger, &message, &generation).await, unseen);
        assert_eq!(cancel(&stranger, &generation).await["userErrors"][0]["code"], "NOT_FOUND");
        let socket = Socket::connect(&stranger).await;
        for (field, id) in [
            ("messageStream(messageId: $id) { sequence }", &message),
            ("generationChanged(generationId: $id) { id }", &generation),
        ] {
            let mut watch =
                socket.subscribe(&format!("subscription($id: ID!) {{ {field} }}"), json!({ "id": id })).await;
            match watch.next().await {
                Event::Next(event) => {
                    assert_eq!(event["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{event}")
                }
                Event::Error(errors) => {
                    assert_eq!(errors[0]["extensions"]["code"], "BAD_USER_INPUT", "{errors}")
                }
                other => panic!("{other:?}"),
            }
        }
        drop(socket);
        // To change a message, or to answer it again, one needs its conversation; there is none.
        let again = "mutation($id: ID!, $key: String!) {
            regenerateMessage(input: { messageId: $id, idempotencyKey: $key }) { userErrors { code } }
            selectBranch(input: { id: $id }) { userErrors { code } }
            deleteMessage(input: { id: $id }) { userErrors { code } } }";
        for person in [&owner, &stranger] {
            let answer = person.gql(again, json!({ "id": message, "key": new_key() })).await;
            for field in ["regenerateMessage", "selectBranch", "deleteMessage"] {
                assert_eq!(answer.user_errors(field)[0]["code"], "NOT_FOUND", "{field}");
            }
        }
        if !is_over {
            gate.open();
            owner.wait_for_end(&message).await;
        }
    }
    assert_eq!(app.provider.calls(), 1);
    app.close().await;
}

/// Runs on one process, watched and stopped on the other; another is cut off by the death of its process.
#[tokio::test(flavor = "multi_thread")]
async fn other_processes_watch_stop_and_end_it() {
    let db = TestDb::create().await;
    let provider = ScriptedProvider::start().await;
    let settings = format!("{ROOMY}{SIGNING_KEY}[streams]\nlease_ms = 1000");
    let launch = Launch { database_url: &db.url, provider: provider.base_url(), settings: &settings };
    let (one, two) = (Binary::start(&launch), Binary::start(&launch));
    let near = one.client.sign_up().await;
    let far = two.client.with_token(near.token.clone().unwrap());
    let socket = Socket::connect(&far).await;
    let pieces: Vec<String> = (0..50).map(|n| format!("Stück {n}, ")).collect();
    for is_killed in [false, true] {
        let calls = provider.calls();
        let (script, mut feed) = Feed::new(&pieces);
        provider.then(script);
        let (message, generation) =
            ids(&generate(&near, call(json!({ "options": { "maxOutputTokens": 1000 } }))).await);
        provider.called(calls + 1).await;
        let mut reader = Reader::open(&socket, &message).await;
        while reader.text.len() < pieces[..3].concat().len() {
            feed.give_after(reader.text.len());
            assert!(matches!(reader.next().await, Got::Snapshot | Got::Delta));
        }
        if is_killed {
            one.kill();
            let end = reader.read_to_end().await;
            assert_eq!(
                (&end["__typename"], &end["error"]["code"]),
                (&json!("MessageFailed"), &json!("INTERRUPTED"))
            );
            let seen = look(&far, &message, &generation).await;
            assert_eq!(
                (&seen["generation"]["status"], &seen["message"]["text"]),
                (&json!("INTERRUPTED"), &json!(reader.text))
            );
            break;
        }
        let stopped = cancel(&far, &generation).await;
        assert_eq!(
            (&stopped["generation"]["status"], &stopped["userErrors"]),
            (&json!("CANCELED"), &json!([]))
        );
        let end = reader.read_to_end().await.clone();
        assert_eq!(
            (&end["finishReason"], &end["message"]["text"]),
            (&json!("CANCELED"), &json!(reader.text))
        );
        assert!(pieces.concat().starts_with(&reader.text) && !reader.text.is_empty());
    }
    let verdict = check_ledger(&db.url);
    println!("one_shot elsewhere n=2 {verdict} ok");
    drop(socket);
    two.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_leaves_with_its_account_and_with_who_leaves_the_account() {
    let app = TestApp::start().await;
    let (person, other) = (app.client.sign_up().await, app.client.sign_up().await);
    let (message, _) = ids(&generate(&person, call(json!({}))).await);
    let (kept, _) = ids(&generate(&other, call(json!({}))).await);
    person.wait_for_end(&message).await;
    other.wait_for_end(&kept).await;
    let (id, kept) = (message_uuid(&message), message_uuid(&kept));
    let mut conn = connect(&app.db.url).await;
    let whose = format!("SELECT account_id, owner_id FROM messages WHERE id = '{id}'");
    let whose = rows(&mut conn, &whose).await.swap_remove(0);
    let (account, owner) = (text(&whose["account_id"]), text(&whose["owner_id"]));
    let leavings = [
        format!("DELETE FROM members WHERE user_id = '{owner}'"),
        format!("DELETE FROM users WHERE id = '{owner}'"),
        format!("DELETE FROM accounts WHERE id = '{account}'"),
    ];
    for leaving in &leavings {
        conn.batch_execute(&format!("BEGIN; {leaving}")).await.unwrap();
        let left = rows(&mut conn, "SELECT id FROM messages").await;
        assert_eq!(left, [json!({ "id": kept })], "{leaving}");
        conn.batch_execute("ROLLBACK").await.unwrap();
    }
    println!("one_shot leaves n={} ok", leavings.len());
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_gone_a_day_after_its_end_and_its_run_stays() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let gate = Gate::default();
    let (old, old_run) = ids(&generate(&person, call(json!({}))).await);
    let (young, _) = ids(&generate(&person, call(json!({}))).await);
    let said = person.send_text("Hi", json!({})).await;
    for message in [&old, &young, &text(&said["assistantMessage"]["id"])] {
        person.wait_for_end(message).await;
    }
    app.provider.then(Script::text("At last.", 1).usage(1, 1).gate(&gate));
    let (running, _) = ids(&generate(&person, call(json!({}))).await);
    // All began long ago; the young one has ended less than a day ago, and one runs.
    let [old_id, young_id] = [&old, &young].map(|id| message_uuid(id));
    let aged = format!(
        "UPDATE messages SET created_at = loquent_now() - interval '25 hours';
         UPDATE generations SET finished_at = loquent_now() - interval '24 hours 1 minute' WHERE message_id <> '{young_id}' AND finished_at IS NOT NULL;
         UPDATE generations SET finished_at = loquent_now() - interval '23 hours 59 minutes' WHERE message_id = '{young_id}';
         INSERT INTO messages (id, account_id, owner_id, role, status, created_at)
           SELECT uuid_v7(), account_id, owner_id, 'assistant', 'succeeded', loquent_now() - interval '30 hours'
             FROM messages, generate_series(1, 4500) WHERE id = '{old_id}';
         UPDATE cron_entries SET is_enabled = true, next_tick_at = loquent_now() WHERE name = 'prune.one_shots'"
    );
    app.db.execute(&aged).await;
    let gone = format!("SELECT WHERE NOT EXISTS (SELECT FROM messages WHERE id = '{old_id}')");
    row_when(&app.db.url, std::time::Duration::from_secs(30), &gone).await;
    let rest = "SELECT WHERE (SELECT count(*) FROM messages WHERE conversation_id IS NULL) = 2";
    row_when(&app.db.url, std::time::Duration::from_secs(30), rest).await;
    assert_eq!(
        look(&person, &old, &old_run).await,
        json!({ "message": null, "node": null,
        "generation": { "status": "SUCCEEDED", "message": null } })
    );
    gate.open();
    assert_eq!(person.wait_for_end(&running).await["message"]["text"], "At last.");
    let kept =
        "SELECT (SELECT count(*) FROM messages) AS messages, (SELECT count(*) FROM generations) AS runs,
                       (SELECT count(*) FROM generations WHERE message_id IS NULL) AS without";
    assert_eq!(row(&app.db.url, kept).await, json!({ "messages": 4, "runs": 4, "without": 1 }));
    println!("one_shot retention n=4501 ok");
    app.close().await;
}
