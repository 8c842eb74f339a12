//! Codes are explained in one place, and every error leads there.

use loquent::error::{ErrorCode, reference};
use loquent::graphql::roots::schema_builder;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::TestApp;

#[test]
fn the_committed_reference_is_the_one_of_this_program() {
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ERRORS.md")).unwrap();
    assert!(
        file == reference::markdown(),
        "docs/ERRORS.md is stale: run `loquent schema errors > docs/ERRORS.md`"
    );
}

#[test]
fn every_code_has_one_anchor_and_words() {
    let (markdown, page) = (reference::markdown(), reference::html());
    for code in ErrorCode::ALL {
        let name = code.as_str();
        assert_eq!(markdown.matches(&format!("<a id=\"{name}\"></a>")).count(), 1, "{name}");
        assert_eq!(page.matches(&format!("id=\"{name}\"")).count(), 1, "{name}");
        for text in [code.meaning(), code.advice()] {
            assert!(text.ends_with('.') && markdown.contains(text), "{name}: {text}");
        }
        assert_eq!(code.advice().matches('`').count() % 2, 0, "{name}");
    }
    assert!(!page.contains("<script") && !page.contains('`'));
}

/// What the schema says of a code and what the reference says is the same sentence.
#[tokio::test]
async fn the_schema_describes_codes_in_the_same_words() {
    let query = "{ __type(name: \"UserErrorCode\") { enumValues { name description } } }";
    let data = schema_builder().finish().execute(query).await.data.into_json().unwrap();
    let values = data["__type"]["enumValues"].as_array().unwrap();
    let codes: Vec<_> = ErrorCode::ALL.iter().filter(|code| code.is_user_error()).collect();
    assert_eq!(values.len(), codes.len());
    for code in codes {
        let value = values.iter().find(|value| value["name"] == code.as_str()).unwrap();
        assert_eq!(value["description"], code.meaning(), "{code:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_top_level_error_leads_to_its_explanation() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let page = app.client.request(Method::GET, reference::PATH).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    let tag = page.headers()["etag"].clone();
    let page = page.text().await.unwrap();
    let again =
        app.client.request(Method::GET, reference::PATH).header("if-none-match", tag).send().await.unwrap();
    assert_eq!((again.status().as_u16(), again.text().await.unwrap().as_str()), (304, ""));

    // From the guard, the engine, a guard of a field, a resolver and a route that does not exist.
    let malformed = json!({ "after": "x" });
    let list = "query($after: String) { viewer { account { ledger(after: $after) { nodes { id } } } } }";
    let mut answers = vec![
        app.client.gql("{", json!({})).await,
        app.client.gql("{ nothing }", json!({})).await,
        app.client.gql("{ account(id: \"acc_00000000000000000000000000\") { id } }", json!({})).await,
        app.client.with_token("nonsense").gql("{ viewer { user { id } } }", json!({})).await,
        person.gql(list, malformed).await,
    ];
    answers.push(app.client.send(app.client.request(Method::GET, "/nowhere")).await);
    let mut codes = Vec::new();
    for answer in &answers {
        let extensions: &Value = &answer.errors()[0]["extensions"];
        let (code, url) = (extensions["code"].as_str().unwrap(), extensions["docUrl"].as_str().unwrap());
        let (path, anchor) = url.split_once('#').unwrap();
        assert_eq!((path, anchor), (reference::PATH, code));
        assert!(page.contains(&format!("<section id=\"{anchor}\">")), "{url} leads nowhere");
        codes.push(code);
    }
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), 4, "{codes:?}");
    app.close().await;
}
