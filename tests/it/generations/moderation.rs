//! The one place where content is judged before a model gets it: what is refused is not stored, not held and not sent.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use loquent::domains::moderation::{Moderator, Submission, Verdict};
use serde_json::{Value, json};

use crate::support::{
    app::{MODEL, SEND, TestApp, new_key},
    client::Client,
    provider::Script,
    rows::row,
};

/// Refuses a word, fails at another, is silent at a third, and remembers what it was asked: path and text of each passage.
#[derive(Default)]
struct Censor(Mutex<Vec<Judged>>);

/// The passages of one question.
type Judged = Vec<(Option<String>, String)>;

impl Censor {
    /// What it was asked since the last time.
    fn asked(&self) -> Vec<Judged> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[async_trait]
impl Moderator for Censor {
    async fn judge(&self, submission: &Submission<'_>) -> anyhow::Result<Verdict> {
        let passages = submission.passages.iter();
        let seen = passages.map(|passage| (passage.path.clone(), passage.text.to_owned())).collect();
        self.0.lock().unwrap().push(seen);
        for (passage, text) in submission.passages.iter().map(|passage| passage.text).enumerate() {
            match text {
                text if text.contains("taboo") => return Ok(Verdict::Blocked { passage }),
                text if text.contains("broken") => anyhow::bail!("the moderator is broken"),
                text if text.contains("silent") => std::future::pending().await,
                _ => {}
            }
        }
        Ok(Verdict::Allowed)
    }
}

const REGENERATE: &str = "mutation($input: RegenerateMessageInput!) {
    regenerateMessage(input: $input) { assistantMessage { id } quotas { meter } userErrors { code message field } } }";
const GENERATE: &str = "mutation($input: GenerateInput!) {
    generate(input: $input) { generation { id message { id } } quotas { meter } userErrors { code message field } } }";

async fn start() -> (TestApp, Arc<Censor>, Client) {
    let censor = Arc::new(Censor::default());
    let app = TestApp::builder().moderator(censor.clone()).start().await;
    let person = app.client.sign_up().await;
    (app, censor, person)
}

fn parts(texts: &[&str]) -> Value {
    texts.iter().map(|text| json!({ "text": text })).collect()
}

/// The input with a model and a key.
fn input(mut input: Value) -> Value {
    input["model"] = json!(MODEL);
    input["idempotencyKey"] = json!(new_key());
    json!({ "input": input })
}

/// How much there is of everything that a turn leaves.
async fn everything(app: &TestApp) -> Value {
    let query = "SELECT (SELECT count(*) FROM conversations) AS conversations, (SELECT count(*) FROM messages) AS messages,
        (SELECT count(*) FROM conversation_events) AS events, (SELECT count(*) FROM generations) AS generations,
        (SELECT count(*) FROM holds) AS holds, (SELECT count(*) FROM ledger_entries) AS entries,
        (SELECT coalesce(sum(used + held), 0) FROM quota_counters) AS counted,
        (SELECT count(*) FROM idempotency_keys WHERE operation <> 'sign_up') AS keys";
    row(&app.db.url, query).await
}

/// A question and its answer, with the conversation.
async fn answered(person: &Client, texts: &[&str], conversation: Option<&Value>) -> Value {
    let mut asked = json!({ "parts": parts(texts) });
    if let Some(conversation) = conversation {
        asked["conversationId"] = conversation["id"].clone();
    }
    let sent = person.gql(SEND, input(asked)).await.data()["sendMessage"].clone();
    assert_eq!(sent["userErrors"], json!([]), "{sent}");
    person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
    sent
}

fn path(field: &str) -> Value {
    std::iter::once("input").chain(field.split('.')).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_content_is_named_and_leaves_nothing_behind() {
    let (app, censor, person) = start().await;
    let sent = answered(&person, &["Harmless"], None).await;
    let conversation = sent["conversation"]["id"].clone();
    // What was let through and is now refused: the message was corrected since.
    let edit = "mutation($input: EditMessageInput!) { editMessage(input: $input) { userErrors { code } } }";
    let edited = answered(&person, &["Harmless too"], None).await;
    let change = json!({ "messageId": edited["userMessage"]["id"], "parts": parts(&["A taboo"]) });
    person.gql(edit, json!({ "input": change })).await.data();
    let instructed = "mutation($input: CreateConversationInput!) { createConversation(input: $input) { conversation { id } } }";
    let made = person.gql(instructed, input(json!({ "systemPrompt": "Speak taboo." }))).await;
    let instructed = made.data()["createConversation"]["conversation"]["id"].clone();

    let user = |texts: &[&str]| json!({ "user": parts(texts) });
    let said = |texts: &[&str]| json!({ "assistant": parts(texts) });
    let cases = [
        ("sendMessage", SEND, json!({ "parts": parts(&["A taboo"]) }), path("parts.0.text")),
        (
            "sendMessage",
            SEND,
            json!({ "conversationId": conversation, "parts": parts(&["Fine", "A taboo"]) }),
            path("parts.1.text"),
        ),
        (
            "sendMessage",
            SEND,
            json!({ "conversationId": edited["conversation"]["id"], "parts": parts(&["Go on"]) }),
            Value::Null,
        ),
        (
            "sendMessage",
            SEND,
            json!({ "conversationId": instructed, "parts": parts(&["Go on"]) }),
            Value::Null,
        ),
        (
            "regenerateMessage",
            REGENERATE,
            json!({ "messageId": edited["assistantMessage"]["id"] }),
            path("messageId"),
        ),
        ("generate", GENERATE, json!({ "turns": [user(&["Fine", "A taboo"])] }), path("turns.0.user.1.text")),
        (
            "generate",
            GENERATE,
            json!({ "turns": [user(&["Fine"]), said(&["A taboo"]), user(&["Fine"])] }),
            path("turns.1.assistant.0.text"),
        ),
        (
            "generate",
            GENERATE,
            json!({ "turns": [user(&["Fine"])], "systemPrompt": "taboo" }),
            path("systemPrompt"),
        ),
    ];
    censor.asked();
    let (before, calls) = (everything(&app).await, app.provider.calls());
    for (field, document, asked, place) in &cases {
        let answer = person.gql(document, input(asked.clone())).await;
        let payload = &answer.data()[field];
        let error = &payload["userErrors"][0];
        assert_eq!(
            (&error["code"], &error["field"]),
            (&json!("CONTENT_BLOCKED"), place),
            "{asked}: {payload}"
        );
        assert!(payload["generation"].is_null() && payload["assistantMessage"].is_null(), "{payload}");
        assert_eq!(censor.asked().len(), 1, "{asked}");
    }
    assert_eq!((everything(&app).await, app.provider.calls()), (before, calls));
    println!("moderation refusals n={} ok", cases.len());
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_a_model_is_sent_was_judged_once() {
    let (app, censor, person) = start().await;
    app.provider.always(Script::text("An answer.", 1).usage(1, 1));
    let first = answered(&person, &["One", "Two"], None).await;
    answered(&person, &["Three"], Some(&first["conversation"])).await;
    let again = input(json!({ "messageId": first["assistantMessage"]["id"] }));
    let answer = person.gql(REGENERATE, again.clone()).await;
    let id = answer.data()["regenerateMessage"]["assistantMessage"]["id"].clone();
    person.wait_for_end(id.as_str().unwrap()).await;
    let turns = json!([{ "user": parts(&["Four"]) }, { "assistant": parts(&["Five"]) }, { "user": parts(&["Six", "Seven"]) }]);
    let call = input(json!({ "turns": turns, "systemPrompt": "Be kind." }));
    let answer = person.gql(GENERATE, call.clone()).await;
    person.wait_for_end(answer.data()["generate"]["generation"]["message"]["id"].as_str().unwrap()).await;
    let judged = censor.asked();
    let new = |path: &str, text: &str| (Some(path.to_owned()), text.to_owned());
    let old = |text: &str| (None, text.to_owned());
    let expected = [
        vec![new("parts.0.text", "One"), new("parts.1.text", "Two")],
        vec![old("One"), old("Two"), old("An answer."), new("parts.0.text", "Three")],
        vec![new("messageId", "One"), new("messageId", "Two")],
        vec![
            new("systemPrompt", "Be kind."),
            new("turns.0.user.0.text", "Four"),
            new("turns.1.assistant.0.text", "Five"),
            new("turns.2.user.0.text", "Six"),
            new("turns.2.user.1.text", "Seven"),
        ],
    ];
    assert_eq!(judged, expected);
    // The other way round: nothing went upstream that was not judged.
    for (request, passages) in app.provider.requests().iter().zip(&judged) {
        for message in request.body["messages"].as_array().unwrap() {
            let mut rest = message["content"].as_str().unwrap().replace("\n\n", "");
            for (_, text) in passages {
                rest = rest.replacen(text.as_str(), "", 1);
            }
            assert_eq!(rest, "", "{message} of {passages:?}");
        }
    }
    // Neither a repeat nor what is refused for another reason is judged.
    person.gql(REGENERATE, again).await.data();
    person.gql(GENERATE, call).await.data();
    let stranger = app.client.sign_up().await;
    let foreign = json!({ "conversationId": first["conversation"]["id"], "parts": parts(&["Three"]) });
    assert_eq!(stranger.gql(SEND, input(foreign)).await.user_errors("sendMessage")[0]["code"], "NOT_FOUND");
    assert_eq!(censor.asked(), Vec::<Judged>::new());
    println!("moderation judged n={} ok", judged.len());
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moderator_that_fails_or_is_silent_allows_nothing() {
    let (app, _, person) = start().await;
    let before = everything(&app).await;
    let asked = ["broken", "silent"].map(|word| person.gql(SEND, input(json!({ "parts": parts(&[word]) }))));
    let answers = futures_util::future::join_all(asked).await;
    for answer in &answers {
        assert_eq!(answer.code(), "SERVICE_UNAVAILABLE", "{answer:?}");
    }
    assert_eq!((everything(&app).await, app.provider.calls()), (before, 0));
    println!("moderation fails closed n={} ok", answers.len());
    app.close().await;
}
