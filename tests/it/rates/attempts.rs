//! Attempts to be somebody: each executed field is one, and the answer does not depend on whether an address is known.

use std::fmt::Write;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::plenty;
use crate::support::{
    app::TestApp,
    client::{Answer, Client},
    rows::row,
};

const PASSWORD: &str = "violet-tractor-lantern";

/// Behind a proxy that says where a client is; only attempts are counted.
async fn start() -> TestApp {
    TestApp::builder()
        .outside_development()
        .settings("[server]\ntrusted_proxies = [\"127.0.0.0/8\"]")
        .rates(plenty())
        .start()
        .await
}

async fn at(client: &Client, address: &str, query: &str, variables: Value) -> Answer {
    let body = json!({ "query": query, "variables": variables }).to_string();
    let request = client.post(body).header("content-type", "application/json");
    client.send(request.header("x-forwarded-for", address)).await
}

async fn join(client: &Client, address: &str, email: &str) -> Answer {
    let query = "mutation($input: SignUpInput!) { signUp(input: $input) { tokens { refreshToken } userErrors { code } } }";
    at(client, address, query, json!({ "input": { "email": email, "password": PASSWORD } })).await
}

async fn sign_in(client: &Client, address: &str, email: &str, password: &str) -> Answer {
    let query = "mutation($input: SignInInput!) { signIn(input: $input) { tokens { accessToken } userErrors { code } } }";
    at(client, address, query, json!({ "input": { "email": email, "password": password } })).await
}

/// `right`, the code of a user error, or that of an error.
fn verdict(answer: &Answer) -> String {
    if let [error] = answer.errors() {
        return error["extensions"]["code"].as_str().unwrap().to_owned();
    }
    match answer.body["data"]["signIn"]["userErrors"][0]["code"].as_str() {
        Some(code) => code.to_owned(),
        None => "right".to_owned(),
    }
}

/// An operation that signs in under so many aliases.
fn aliases(count: usize) -> String {
    let fields = (0..count).fold(String::new(), |mut text, n| {
        let input = format!("{{ email: \"somebody{n}@example.com\", password: \"wrong\" }}");
        write!(text, " a{n}: signIn(input: {input}) {{ userErrors {{ code }} }}").unwrap();
        text
    });
    format!("mutation {{{fields} }}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_has_so_many_attempts_and_no_document_has_two() {
    const ATTEMPTS: usize = 45;
    let app = start().await;
    for count in [2, 100] {
        let answer = at(&app.client, "203.0.113.7", &aliases(count), json!({})).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, "QUERY_TOO_EXPENSIVE"));
    }
    let (mut looked_at, mut refused) = (0, 0);
    for n in 0..ATTEMPTS {
        let email = format!("somebody{n}@example.com");
        let answer = sign_in(&app.client, "203.0.113.7", &email, "wrong").await;
        match verdict(&answer).as_str() {
            "INVALID_CREDENTIALS" => looked_at += 1,
            "RATE_LIMITED" => {
                refused += 1;
                assert_eq!((answer.status, &answer.body["data"]["signIn"]), (StatusCode::OK, &Value::Null));
                let wait = answer.errors()[0]["extensions"]["retryAfterSeconds"].as_u64().unwrap();
                assert!((270..=302).contains(&wait), "{answer:?}");
            }
            other => panic!("{other}: {answer:?}"),
        }
    }
    assert_eq!((looked_at, refused), (30, ATTEMPTS - 30));
    // Another address of the same network is no way around, and one of another network is free.
    assert_eq!(
        verdict(&sign_in(&app.client, "203.0.113.200", "x@example.com", "wrong").await),
        "RATE_LIMITED"
    );
    assert_eq!(
        verdict(&sign_in(&app.client, "203.0.114.7", "x@example.com", "wrong").await),
        "INVALID_CREDENTIALS"
    );
    println!("rate_attempts n={ATTEMPTS} admitted={looked_at} ok");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_count_by_address_and_right_ones_do_not() {
    let app = start().await;
    join(&app.client, "198.51.100.1", "ada@example.com").await.data();
    let (here, there) = ("203.0.113.7", "192.0.2.7");
    let mut verdicts = Vec::new();
    for email in ["ada@example.com", "nobody@example.com"] {
        let mut of_this = Vec::new();
        for n in 0..12 {
            // Written differently, the address is the same.
            let email = if n % 2 == 0 { email.to_owned() } else { format!(" {}", email.to_uppercase()) };
            of_this.push(sign_in(&app.client, here, &email, "wrong").await);
        }
        verdicts.push(of_this.iter().map(verdict).collect::<Vec<_>>());
        let last = of_this.pop().unwrap();
        assert!((1..=90).contains(&last.errors()[0]["extensions"]["retryAfterSeconds"].as_u64().unwrap()));
    }
    let expected = [vec!["INVALID_CREDENTIALS"; 10], vec!["RATE_LIMITED"; 2]].concat();
    assert_eq!(verdicts, [expected.clone(), expected], "known and unknown addresses differ");
    // The owner is elsewhere, and gets in as often as it takes.
    for _ in 0..12 {
        assert_eq!(verdict(&sign_in(&app.client, there, "ada@example.com", PASSWORD).await), "right");
    }
    assert_eq!(verdict(&sign_in(&app.client, here, "ada@example.com", PASSWORD).await), "RATE_LIMITED");
    let kept = row(&app.db.url, "SELECT count(*) AS n FROM rate_limits WHERE key LIKE '%example%'").await;
    assert_eq!(kept["n"], 0, "an address is written down");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_and_renewing_count_by_network() {
    let app = start().await;
    let mut refused = 0;
    for n in 0..32 {
        // Refused for its password, so that it is quick; it is an attempt all the same.
        let query = "mutation($input: SignUpInput!) { signUp(input: $input) { userErrors { code } } }";
        let input = json!({ "input": { "email": format!("p{n}@example.com"), "password": "x" } });
        let answer = at(&app.client, &format!("203.0.113.{n}"), query, input).await;
        refused +=
            usize::from(answer.errors().iter().any(|error| error["extensions"]["code"] == "RATE_LIMITED"));
    }
    assert_eq!(refused, 2);
    let mut renewed = 0;
    for _ in 0..310 {
        let query = "mutation { refreshSession(input: { refreshToken: \"x\" }) { userErrors { code } } }";
        let answer = at(&app.client, "203.0.113.7", query, json!({})).await;
        renewed += usize::from(answer.errors().is_empty());
    }
    // What a busy machine does not ask within a second lapses, and is lost for this window.
    assert!((200..=300).contains(&renewed), "{renewed}");
    app.close().await;
}
