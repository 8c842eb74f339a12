//! In which type an answer is written, and with which status, by the header `Accept`.

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Value, json};

use super::probe::Site;
use crate::support::client::Answer;

const NEWER: &str = "application/graphql-response+json; charset=utf-8";
const OLDER: &str = "application/json; charset=utf-8";

async fn post(site: &Site, body: &str, accept: &[&str]) -> Answer {
    let mut request = site.client.post(body.to_owned()).header(CONTENT_TYPE, "application/json");
    for line in accept {
        request = request.header(ACCEPT, *line);
    }
    site.client.send(request).await
}

fn document(query: &str) -> String {
    json!({ "query": query }).to_string()
}

#[tokio::test]
async fn the_type_that_is_wanted_most_is_answered() {
    let site = Site::start().await;
    let mut n = 0;
    for (accept, expected) in [
        (&[""][..], OLDER),
        (&["*/*"], OLDER),
        (&["application/*"], OLDER),
        (&["application/json"], OLDER),
        (&["application/graphql-response+json"], NEWER),
        (&["application/json, text/plain, */*"], OLDER),
        (&["application/graphql-response+json, application/json;q=0.9"], NEWER),
        (&["application/json, application/graphql-response+json"], NEWER),
        (&["application/graphql-response+json;q=0.5", "application/json"], OLDER),
        (&["application/graphql-response+json;q=0, */*"], OLDER),
        (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], OLDER),
        (
            &["application/graphql-response+json, application/graphql+json, application/json, \
               text/event-stream, multipart/mixed"],
            NEWER,
        ),
    ] {
        let answer = post(&site, &document("{ __typename }"), accept).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, expected), "{accept:?}");
        assert_eq!(answer.data()["__typename"], "Query");
        n += 1;
    }
    println!("accept n={n} ok");
}

#[tokio::test]
async fn who_takes_nothing_of_ours_is_refused_before_anything_is_run() {
    let site = Site::start().await;
    for accept in ["text/html", "application/xml, image/*", "*/*;q=0", "application/json;charset=utf-16"] {
        let answer = post(&site, &document("{ __typename }"), &[accept]).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (406, "BAD_USER_INPUT"), "{accept}");
        assert_eq!(answer.header("content-type"), NEWER);
        assert!(answer.body.get("data").is_none());
    }
    assert_eq!(site.probe.reached(), 0);
}

#[tokio::test]
async fn a_fault_has_the_status_of_who_found_it() {
    let site = Site::start().await;
    let deep = document(&format!("{{ {} id {} }}", "a {".repeat(40), "}".repeat(40)));
    let mutation = document("mutation { nothing }");
    let unknown =
        json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "0".repeat(64) } } });
    let unknown = unknown.to_string();
    let mut n = 0;
    for (body, newer, older, code) in [
        // Found by HTTP: the request is not well-formed.
        ("", 400, 400, "BAD_USER_INPUT"),
        ("{", 400, 400, "BAD_USER_INPUT"),
        ("[]", 400, 400, "BAD_USER_INPUT"),
        ("{}", 400, 400, "BAD_USER_INPUT"),
        (r#"{"query":"{__typename}","variables":"{}"}"#, 400, 400, "BAD_USER_INPUT"),
        // Found by GraphQL.
        (r#"{"query":"{"}"#, 400, 200, "GRAPHQL_PARSE_FAILED"),
        (r#"{"query":"{ nothing }"}"#, 400, 200, "GRAPHQL_VALIDATION_FAILED"),
        (mutation.as_str(), 400, 200, "GRAPHQL_VALIDATION_FAILED"),
        (deep.as_str(), 400, 200, "QUERY_TOO_DEEP"),
        (unknown.as_str(), 400, 200, "PERSISTED_QUERY_NOT_FOUND"),
    ] {
        for (accept, status) in [("application/graphql-response+json", newer), ("application/json", older)] {
            let answer = post(&site, body, &[accept]).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{accept} {body}");
            assert_eq!(answer.header("content-type"), format!("{accept}; charset=utf-8"));
            assert_eq!(answer.body.get("data"), None::<&Value>);
            assert_eq!(answer.errors()[0]["extensions"]["requestId"], answer.header("x-request-id"));
            n += 1;
        }
    }
    println!("statuses n={n} ok");
}
