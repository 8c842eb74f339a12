//! Variables are checked against their types before anything runs.

use serde_json::{Value, json};

use super::{code, refused};
use crate::support::{app::TestApp, client::Client};

/// Sends a message with this input; all of it is wrong, so nothing is ever sent.
const SEND: &str = "mutation Send(
  $input: SendMessageInput!) { sendMessage(input: $input) { userErrors { code } } }";

fn input(change: impl FnOnce(&mut Value)) -> Value {
    let mut input = json!({ "parts": [{ "text": "Hello" }], "idempotencyKey": "key-of-the-test" });
    change(&mut input);
    json!({ "input": input })
}

async fn message(client: &Client, query: &str, variables: Value) -> String {
    let errors = refused(client, query, variables.clone(), 400).await;
    assert_eq!(code(&errors), "BAD_USER_INPUT", "{variables}");
    errors[0]["message"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_the_wrong_kind_is_an_error_of_the_request_that_names_its_place() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let options =
        |name: &'static str, value: Value| input(move |input| input["options"] = json!({ name: value }));
    let cases = [
        (json!({}), "Variable `$input`: a value of type `SendMessageInput!` is required."),
        (json!({ "input": null }), "Variable `$input`: a value of type `SendMessageInput!` may not be null."),
        (json!({ "input": "x" }), "Variable `$input`: this is not a value of type `SendMessageInput`."),
        (json!({ "input": [] }), "Variable `$input`: this is not a value of type `SendMessageInput`."),
        (
            input(|input| input["parts"][0]["text"] = json!(7)),
            "Variable `$input.parts[0].text`: this is not a value of type `String`.",
        ),
        (
            input(|input| input["parts"] = json!(null)),
            "Variable `$input.parts`: a value of type `[MessagePartInput!]!` may not be null.",
        ),
        (
            input(|input| input["parts"] = json!([null])),
            "Variable `$input.parts[0]`: a value of type `MessagePartInput!` may not be null.",
        ),
        (
            input(|input| input["parts"] = json!([{}])),
            "Variable `$input.parts[0]`: exactly one field of `MessagePartInput` is given, and it is not null.",
        ),
        (
            input(|input| input["parts"] = json!([{ "text": null }])),
            "Variable `$input.parts[0]`: exactly one field of `MessagePartInput` is given, and it is not null.",
        ),
        (
            input(|input| drop(input.as_object_mut().unwrap().remove("idempotencyKey"))),
            "Variable `$input.idempotencyKey`: a value of type `String!` is required.",
        ),
        (
            input(|input| input["secret"] = json!("hidden")),
            "Variable `$input`: `SendMessageInput` has no field `secret`.",
        ),
        (
            input(|input| input["conversationId"] = json!(1.5)),
            "Variable `$input.conversationId`: this is not a value of type `ID`.",
        ),
        (
            options("maxOutputTokens", json!(2_147_483_648_u64)),
            "Variable `$input.options.maxOutputTokens`: this is not a value of type `Int`.",
        ),
        (
            options("maxOutputTokens", json!(1.5)),
            "Variable `$input.options.maxOutputTokens`: this is not a value of type `Int`.",
        ),
        (
            options("temperature", json!("warm")),
            "Variable `$input.options.temperature`: this is not a value of type `Float`.",
        ),
        (
            options("maxCredits", json!("1.2.3")),
            "Variable `$input.options.maxCredits`: this is not a value of type `Decimal`.",
        ),
        (
            options("maxCredits", json!(1.5)),
            "Variable `$input.options.maxCredits`: this is not a value of type `Decimal`.",
        ),
        (
            options("stop", json!(["a", 1])),
            "Variable `$input.options.stop[1]`: this is not a value of type `String`.",
        ),
    ];
    let count = cases.len();
    for (variables, expected) in cases {
        assert_eq!(message(&person, SEND, variables.clone()).await, expected, "{variables}");
    }
    println!("wrong_variables_are_errors_of_the_request n={count} ok");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_place_is_that_of_the_definition_and_enums_and_switches_are_checked_too() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let errors = refused(&person, SEND, json!({}), 400).await;
    assert_eq!(errors[0]["locations"], json!([{ "line": 2, "column": 3 }]));
    let ledger = "query($kinds: [LedgerEntryKind!], $with: Boolean!) {
        viewer { account { ledger(kinds: $kinds) { nodes { id @include(if: $with) } } } } }";
    for (variables, place) in [
        (json!({ "kinds": ["GRANT", "GIFT"], "with": true }), "`$kinds[1]`"),
        (json!({ "kinds": "GIFT", "with": true }), "`$kinds`"),
        (json!({ "kinds": [1], "with": true }), "`$kinds[0]`"),
        (json!({ "with": "yes" }), "`$with`"),
        (json!({}), "`$with`"),
    ] {
        let message = message(&person, ledger, variables).await;
        assert!(message.contains(place), "{message}");
    }
    for kinds in [json!("GRANT"), json!(["GRANT", "HOLD"]), json!(null)] {
        let answer = person.gql(ledger, json!({ "kinds": kinds, "with": true, "unknown": 1 })).await;
        assert!(answer.data()["viewer"]["account"]["ledger"]["nodes"].is_array());
    }
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_variables_are_checked_used_or_not_and_errors_are_few() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let names: Vec<String> = (0..15).map(|n| format!("$v{n}: Int!")).collect();
    let uses: Vec<String> =
        (0..15).map(|n| format!("a{n}: ledger(first: $v{n}) {{ pageInfo {{ endCursor }} }}")).collect();
    let query = format!("query({}) {{ viewer {{ account {{ {} }} }} }}", names.join(", "), uses.join(" "));
    let errors = refused(&person, &query, json!({}), 400).await;
    assert_eq!(errors.len(), 10);
    assert!(errors.iter().all(|error| error["extensions"]["code"] == "BAD_USER_INPUT"));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_never_repeated() {
    let app = TestApp::start().await;
    let sign_up = "mutation($input: SignUpInput!) { signUp(input: $input) { userErrors { code } } }";
    for secret in [json!(["violet-tractor"]), json!({ "violet-tractor": 1 }), json!(8_135_550)] {
        let variables = json!({ "input": { "email": "a@example.com", "password": secret } });
        let errors = refused(&app.client, sign_up, variables, 400).await;
        let text = serde_json::to_string(&errors).unwrap();
        assert!(text.contains("$input.password"), "{text}");
        assert!(!text.contains("violet") && !text.contains("8135550"), "{text}");
    }
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_schema_is_told_before_the_values() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let query = "query($id: ID!) { conversation(id: $id) { nothing } }";
    assert_eq!(code(&refused(&person, query, json!({}), 400).await), "GRAPHQL_VALIDATION_FAILED");
    app.close().await;
}
