//! What people type is bounded and can be stored: texts that PostgreSQL cannot take, and limits at both sides.

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::support::{
    app::{MODEL, SEND, TestApp, new_key},
    client::{Answer, Client},
    provider::Script,
};

const SIGN_UP: &str = "mutation($input: SignUpInput!) { signUp(input: $input) { tokens { accessToken } userErrors { code message field } } }";
const SIGN_IN: &str = "mutation($input: SignInInput!) { signIn(input: $input) { tokens { accessToken } userErrors { code message field } } }";
const REFRESH: &str = "mutation($input: RefreshSessionInput!) { refreshSession(input: $input) { tokens { accessToken } userErrors { code message field } } }";
const CREATE: &str = "mutation($input: CreateConversationInput!) { createConversation(input: $input) { conversation { id title systemPrompt } userErrors { code message field } } }";
const UPDATE: &str = "mutation($input: UpdateConversationInput!) { updateConversation(input: $input) { conversation { id title systemPrompt } userErrors { code message field } } }";

/// The root field of a mutation.
fn root(mutation: &str) -> &str {
    let start = mutation.find('{').unwrap() + 1;
    mutation[start..].trim_start().split('(').next().unwrap()
}

/// A value as it stands in a document; strings escape what JSON escapes.
fn literal(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}: {}", literal(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// The mutation with its input in the variables, and with its input in the document.
async fn both_ways(client: &Client, mutation: &str, input: &Value) -> [Answer; 2] {
    let body = mutation[mutation.find('{').unwrap()..].replace("$input", &literal(input));
    [
        client.gql(mutation, json!({ "input": input })).await,
        client.gql(&format!("mutation {body}"), json!({})).await,
    ]
}

async fn refuses(client: &Client, mutation: &str, input: &Value, code: &str, field: &str) {
    for answer in both_ways(client, mutation, input).await {
        let errors = answer.user_errors(root(mutation));
        assert_eq!(errors.len(), 1, "{mutation} {input}: {answer:?}");
        let path = std::iter::once("input").chain(field.split('.')).filter(|part| !part.is_empty());
        let path = if field.is_empty() { Value::Null } else { path.collect::<Vec<_>>().into() };
        assert_eq!((&errors[0]["code"], &errors[0]["field"]), (&json!(code), &path), "{mutation} {input}");
    }
}

/// A good input with one value replaced.
fn with(good: &Value, field: &str, value: Value) -> Value {
    let mut input = good.clone();
    input[field] = value;
    input
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nul_is_refused_by_name_wherever_a_text_is_taken() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let password = "violet-tractor-lantern";
    let joins = json!({ "email": "ada@example.com", "password": password, "name": "Ada" });
    let creates = json!({ "title": "Sea", "idempotencyKey": new_key() });
    let made = person.gql(CREATE, json!({ "input": creates })).await;
    let id = made.data()["createConversation"]["conversation"]["id"].clone();
    let updates = json!({ "conversationId": id });
    let sends = json!({ "parts": [{ "text": "Hello?" }], "model": MODEL, "idempotencyKey": new_key() });
    let cases = [
        (SIGN_UP, with(&joins, "name", json!("A\u{0}da")), "INVALID_INPUT", "name"),
        (SIGN_UP, with(&joins, "email", json!("a\u{0}da@example.com")), "INVALID_INPUT", "email"),
        (
            SIGN_IN,
            json!({ "email": "a\u{0}da@example.com", "password": password }),
            "INVALID_CREDENTIALS",
            "",
        ),
        (SIGN_IN, json!({ "email": "ada@example.com", "password": "\u{0}" }), "INVALID_CREDENTIALS", ""),
        (REFRESH, json!({ "refreshToken": "\u{0}" }), "INVALID_CODE", ""),
        (CREATE, with(&creates, "title", json!("\u{0}")), "INVALID_INPUT", "title"),
        (CREATE, with(&creates, "systemPrompt", json!("Be\u{0}brief")), "INVALID_INPUT", "systemPrompt"),
        (CREATE, with(&creates, "model", json!("\u{0}")), "INVALID_INPUT", "model"),
        (CREATE, with(&creates, "idempotencyKey", json!("12345678\u{0}")), "INVALID_INPUT", "idempotencyKey"),
        (UPDATE, with(&updates, "title", json!("a\u{0}b")), "INVALID_INPUT", "title"),
        (UPDATE, with(&updates, "systemPrompt", json!("\u{0}")), "INVALID_INPUT", "systemPrompt"),
        (
            SEND,
            with(&sends, "parts", json!([{ "text": "a" }, { "text": "\u{0}" }])),
            "INVALID_INPUT",
            "parts.1.text",
        ),
        (SEND, with(&sends, "model", json!("\u{0}")), "INVALID_INPUT", "model"),
        (SEND, with(&sends, "idempotencyKey", json!("\u{0}2345678")), "INVALID_INPUT", "idempotencyKey"),
        (SEND, with(&sends, "options", json!({ "stop": ["\u{0}"] })), "INVALID_INPUT", "options.stop"),
    ];
    for (mutation, input, code, field) in &cases {
        refuses(&person, mutation, input, code, field).await;
    }
    println!("a_nul_is_refused_by_name n={} ok", cases.len() * 2);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_character_is_refused_and_a_whole_one_is_kept() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let key = new_key();
    for half in ["\\ud83d", "\\ude00", "\\ude00\\ud83d", "\\ud83d\\u0041"] {
        let variables = format!(r#"{{ "input": {{ "title": "{half}", "idempotencyKey": "{key}" }} }}"#);
        let in_variables = format!(r#"{{ "query": {}, "variables": {variables} }}"#, json!(CREATE));
        let document = format!(
            r#"mutation {{ createConversation(input: {{ title: "{half}", idempotencyKey: "{key}" }}) {{ conversation {{ id }} }} }}"#
        );
        for body in [in_variables, json!({ "query": document }).to_string()] {
            let answer =
                person.send(person.post(body.clone()).header(CONTENT_TYPE, "application/json")).await;
            assert_eq!(answer.status, 400, "{body}: {answer:?}");
            assert!(["BAD_USER_INPUT", "GRAPHQL_PARSE_FAILED"].contains(&answer.code()), "{answer:?}");
        }
    }
    for whole in ["\u{1f600}", "e\u{301}", "\u{fffd}", "\u{10ffff}", "\u{202e}abc"] {
        let input = json!({ "title": whole, "systemPrompt": whole, "idempotencyKey": new_key() });
        for answer in both_ways(&person, CREATE, &input).await {
            let made = &answer.data()["createConversation"]["conversation"];
            assert_eq!((&made["title"], &made["systemPrompt"]), (&json!(whole), &json!(whole)));
        }
    }
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_white_space_is_refused() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    for parts in [json!([{ "text": " " }]), json!([{ "text": "\n\t" }, { "text": "\u{3000}\u{a0}" }])] {
        let input = json!({ "parts": parts, "model": MODEL, "idempotencyKey": new_key() });
        refuses(&person, SEND, &input, "INVALID_INPUT", "parts").await;
    }
    app.provider.then(Script::text("Hello.", 2).usage(9, 5));
    let sent =
        person.send_text("ignored", json!({ "parts": [{ "text": "Hello?" }, { "text": "\n" }] })).await;
    person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_are_good_up_to_their_limit() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    // Characters, not bytes.
    let text = |count: usize| json!("\u{e4}".repeat(count));
    let creates = |field: &str, value: Value| with(&json!({ "idempotencyKey": new_key() }), field, value);
    for (field, range) in [("title", 1..=200), ("systemPrompt", 1..=100_000), ("idempotencyKey", 8..=255)] {
        for good in [*range.start(), *range.end()] {
            let answer = person.gql(CREATE, json!({ "input": creates(field, text(good)) })).await;
            assert_eq!(answer.user_errors("createConversation"), [] as [Value; 0], "{field} of {good}");
        }
        for bad in [range.start() - 1, range.end() + 1] {
            let answer = person.gql(CREATE, json!({ "input": creates(field, text(bad)) })).await;
            let errors = answer.user_errors("createConversation");
            assert_eq!(
                (&errors[0]["code"], &errors[0]["field"][1]),
                (&json!("INVALID_INPUT"), &json!(field)),
                "{bad}"
            );
        }
    }
    for (length, is_good) in [(1, true), (80, true), (81, false), (0, false)] {
        let email = format!("{}@example.com", uuid::Uuid::now_v7().simple());
        let input = json!({ "email": email, "password": "violet-tractor-lantern", "name": text(length) });
        let answer = app.client.gql(SIGN_UP, json!({ "input": input })).await;
        assert_eq!(answer.user_errors("signUp").is_empty(), is_good, "a name of {length}");
    }
    for parts in [
        json!([]),
        json!(vec![json!({ "text": "a" }); 21]),
        json!([{ "text": text(100_001) }]),
        json!([{ "text": "" }]),
    ] {
        let input = json!({ "parts": parts, "model": MODEL, "idempotencyKey": new_key() });
        let answer = person.gql(SEND, json!({ "input": input })).await;
        assert_eq!(answer.user_errors("sendMessage")[0]["code"], "INVALID_INPUT");
    }
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_what_it_says() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    for credits in ["1e3", "+1", " 1", "1_0", ".5", "NaN", ""] {
        let input = json!({ "parts": [{ "text": "a" }], "model": MODEL, "idempotencyKey": new_key(), "options": { "maxCredits": credits } });
        let answer = person.gql(SEND, json!({ "input": input })).await;
        assert_eq!(answer.code(), "BAD_USER_INPUT", "{credits}");
    }
    for credits in ["-1", "0.0000001", "99999999999999999999"] {
        let input = json!({ "parts": [{ "text": "a" }], "model": MODEL, "idempotencyKey": new_key(), "options": { "maxCredits": credits } });
        refuses(&person, SEND, &input, "INVALID_INPUT", "options.maxCredits").await;
    }
    app.close().await;
}
