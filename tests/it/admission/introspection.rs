//! Who may read the schema is the operator's choice.

use serde_json::json;

use super::{code, refused};
use crate::support::{app::TestApp, client::Client};

const SCHEMA: &str = "{ ...Deep } fragment Deep on Query { ... { __schema { queryType { name } } } }";
const TYPE: &str = "{ __type(name: \"Query\") { name } }";

async fn start(policy: &str) -> TestApp {
    TestApp::builder().settings(&format!("[graphql]\nintrospection = \"{policy}\"")).start().await
}

async fn can_read(client: &Client) {
    assert_eq!(client.gql(SCHEMA, json!({})).await.data()["__schema"]["queryType"]["name"], "Query");
    assert_eq!(client.gql(TYPE, json!({})).await.data()["__type"]["name"], "Query");
}

async fn cannot_read(client: &Client, status: u16, reason: &str) {
    for query in [SCHEMA, TYPE, "{ models { key } __schema { queryType { name } } }"] {
        let errors = refused(client, query, json!({}), status).await;
        assert_eq!(code(&errors), reason, "{query}");
    }
    assert_eq!(
        client.gql("{ __typename models { __typename } }", json!({})).await.data()["__typename"],
        "Query"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn in_development_everyone_reads_the_schema() {
    let app = TestApp::start().await;
    can_read(&app.client).await;
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn otherwise_a_caller_signs_in_first() {
    let app = start("authenticated").await;
    cannot_read(&app.client, 401, "UNAUTHENTICATED").await;
    can_read(&app.client.sign_up().await).await;
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_switched_off_for_all() {
    let app = start("off").await;
    cannot_read(&app.client, 403, "FORBIDDEN").await;
    cannot_read(&app.client.sign_up().await, 403, "FORBIDDEN").await;
    app.close().await;
}
