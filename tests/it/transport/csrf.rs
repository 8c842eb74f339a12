//! What a page of another site can make a browser send is not executed. Seen in the database: the mutation of these tests
//! makes a user.

use reqwest::{Method, Url};
use serde_json::json;

use super::probe::Site;
use crate::support::{db::TestDb, rows};

const CONTENT_TYPES: [Option<&str>; 12] = [
    None,
    Some("text/plain"),
    Some("text/plain;charset=UTF-8; application/json"),
    Some("application/x-www-form-urlencoded"),
    Some("multipart/form-data; boundary=application/json"),
    Some("application/json"),
    Some("application/json; charset=utf-8"),
    Some("application/json; charset=utf-16"),
    Some("application/json, text/plain"),
    Some("application/graphql"),
    Some("application/graphql-response+json"),
    Some("text/json"),
];

const PREFLIGHT: [Option<&str>; 4] = [
    None,
    Some("graphql-require-preflight"),
    Some("apollo-require-preflight"),
    Some("x-apollo-operation-name"),
];

const SIGN_UP: &str = "mutation($input: SignUpInput!) { signUp(input: $input) { userErrors { code } } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_mutation_is_executed_by_a_post_of_json_and_by_nothing_else() {
    let db = TestDb::create().await;
    let site = Site::start_on(&db.url, |_| {}, Vec::new()).await;
    let mut conn = rows::connect(&db.url).await;
    let (mut n, mut users) = (0, 0);
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH] {
        for content_type in CONTENT_TYPES {
            for has_cookie in [false, true] {
                for header in PREFLIGHT {
                    n += 1;
                    let mut request = sign_up(&site, &method, n);
                    if let Some(content_type) = content_type {
                        request = request.header("content-type", content_type);
                    }
                    if has_cookie {
                        request = request.header("cookie", "__Host-refresh=x; session=y");
                    }
                    if let Some(header) = header {
                        request = request.header(header, "1");
                    }
                    let answer = site.client.send(request.header("origin", "https://evil.example")).await;
                    let is_json =
                        matches!(content_type, Some("application/json" | "application/json; charset=utf-8"));
                    let may_run = method == Method::POST && is_json;
                    users += usize::from(may_run);
                    let case = format!("{method} {content_type:?} {has_cookie} {header:?}: {answer:?}");
                    assert_eq!(answer.status.is_success(), may_run, "{case}");
                    assert_eq!(rows::rows(&mut conn, "SELECT id FROM users").await.len(), users, "{case}");
                }
            }
        }
    }
    println!("forged n={n} executed={users} ok");
    assert_eq!((n, users), (384, 16));
}

/// The same mutation in the body and in the address.
fn sign_up(site: &Site, method: &Method, n: usize) -> reqwest::RequestBuilder {
    let input =
        json!({ "input": { "email": format!("u{n}@example.com"), "password": "violet-tractor-lantern" } });
    let fields = [("query", SIGN_UP.to_owned()), ("variables", input.to_string())];
    let url = Url::parse_with_params("http://x/graphql", fields).unwrap();
    let path = format!("{}?{}", url.path(), url.query().unwrap());
    let body = json!({ "query": SIGN_UP, "variables": input }).to_string();
    site.client.request(method.clone(), &path).body(body)
}
