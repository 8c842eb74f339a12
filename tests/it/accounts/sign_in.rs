//! Who may join, who may sign in, and which tokens are believed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::{PASSWORD, Person, sign_in, sign_up, whoami};
use crate::support::{app::TestApp, ws::RawSocket};

/// The key that [`TestApp`] signs with.
const SECRET: &str = "a signing key of the tests, long enough";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_joins_is_told_what_is_wrong_and_an_address_joins_once() {
    let app = TestApp::start().await;
    let words = "violet-tractor-lantern-".repeat(6);
    let (long, longest) = (words[..129].to_owned(), &words[..128]);
    for weak in ["", "short", "password1", "12345678", "qwertyuiop", "ada.lovelace@example.com", &long] {
        let refused = sign_up(&app.client, "ada.lovelace@example.com", weak).await;
        let error = &refused.user_errors("signUp")[0];
        assert_eq!(error["code"], "INVALID_INPUT", "{weak:?}");
        assert_eq!(error["field"], json!(["input", "password"]), "{weak:?}");
        assert_eq!(refused.data()["signUp"]["tokens"], json!(null), "{weak:?}");
    }
    let far = format!("{}@example.com", "x".repeat(260));
    for bad in [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@example.com\nbcc: eve@example.com",
        "a\u{0}da@example.com",
        &far,
    ] {
        let refused = sign_up(&app.client, bad, PASSWORD).await;
        let is_refused = match refused.errors() {
            [] => refused.user_errors("signUp")[0]["code"] == "INVALID_INPUT",
            _ => refused.code() == "VALIDATION_FAILED" || refused.code() == "BAD_USER_INPUT",
        };
        assert!(is_refused, "{bad:?} {refused:?}");
    }
    assert_eq!(
        app.db.lines("SELECT count(*)::text AS line FROM users").await,
        ["0"],
        "a refused person joined"
    );

    assert!(sign_up(&app.client, "Ada@Example.com", longest).await.user_errors("signUp").is_empty());
    let again = sign_up(&app.client, " ada@example.COM ", PASSWORD).await;
    assert_eq!(again.user_errors("signUp")[0]["code"], "CONFLICT");
    assert_eq!(again.data()["signUp"]["tokens"], json!(null));
    let signed_in = sign_in(&app.client, "ADA@example.com", longest).await;
    assert_eq!(signed_in.data()["signIn"]["viewer"]["user"]["email"], "ada@example.com");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_people_with_one_address_are_one_person() {
    let app = TestApp::start().await;
    let joining = (0..20).map(|_| sign_up(&app.client, "ada@example.com", PASSWORD));
    let answers = futures_util::future::join_all(joining).await;
    let joined = answers.iter().filter(|answer| answer.user_errors("signUp").is_empty()).count();
    assert_eq!(joined, 1);
    assert_eq!(app.db.lines("SELECT count(*)::text AS line FROM users").await, ["1"]);
    assert_eq!(app.db.lines("SELECT count(*)::text AS line FROM grants").await, ["1"]);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_an_unknown_address_get_the_same_answer() {
    let app = TestApp::start().await;
    let person = Person::join(&app.client).await;
    let long = "x".repeat(25_000);
    let mut answers = Vec::new();
    for (email, password) in [
        (person.email.as_str(), "violet-tractor-lanterns"),
        (person.email.as_str(), ""),
        (person.email.as_str(), &long),
        ("nobody@example.com", PASSWORD),
        ("nobody@example.com", "violet-tractor-lanterns"),
    ] {
        answers.push(sign_in(&app.client, email, password).await);
    }
    let first = answers[0].data();
    assert_eq!(first["signIn"]["userErrors"][0]["code"], "INVALID_CREDENTIALS");
    assert_eq!(first["signIn"]["tokens"], json!(null));
    for answer in &answers {
        assert_eq!((answer.data(), answer.status), (first, answers[0].status));
    }
    assert!(person.sign_in().await.is_signed_in().await);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens_are_nobody_and_old_ones_have_expired() {
    let app = TestApp::start().await;
    let person = Person::join(&app.client).await;
    let token = person.client.token.clone().unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let forged = forgeries(&parts, &claims);
    for (name, token) in &forged {
        let answer = whoami(&app.client.with_token(token)).await;
        assert_eq!(answer.code(), "UNAUTHENTICATED", "{name}");
        assert_eq!(answer.status.as_u16(), 401, "{name}");
        assert!(answer.body.get("data").is_none_or(Value::is_null), "{name}: {answer:?}");
    }
    // The way of the forgeries is good: the same with nothing changed is believed.
    assert!(
        whoami(&app.client.with_token(sign(&claims, "test", Algorithm::HS256, SECRET)))
            .await
            .errors()
            .is_empty()
    );
    let mut socket = RawSocket::open(&app.client).await;
    let payload = json!({ "authorization": format!("Bearer {}", forged[0].1) });
    socket.send(json!({ "type": "connection_init", "payload": payload })).await;
    assert_eq!(socket.close_code().await, 4401);

    let mut open = RawSocket::open(&person.client).await;
    open.init(Some(&token)).await;
    app.app.clock.advance(TimeDelta::minutes(61));
    let answer = whoami(&person.client).await;
    assert_eq!(answer.code(), "TOKEN_EXPIRED");
    assert!(answer.status.is_client_error());
    let mut late = RawSocket::open(&app.client).await;
    let payload = json!({ "authorization": format!("Bearer {token}") });
    late.send(json!({ "type": "connection_init", "payload": payload })).await;
    assert_eq!(late.close_code().await, 4403);
    println!("forged_tokens_are_nobody n={} ok", forged.len());
    drop(open);
    app.close().await;
}

fn sign(claims: &Value, kid: &str, algorithm: Algorithm, secret: &str) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// What attackers make of a good token, by name.
fn forgeries(parts: &[&str], claims: &Value) -> Vec<(String, String)> {
    let encode = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let with = |key: &str, value: Value| {
        let mut changed = claims.clone();
        changed[key] = value;
        changed
    };
    let without = |key: &str| {
        let mut changed = claims.clone();
        changed.as_object_mut().unwrap().remove(key);
        changed
    };
    let other = uuid::Uuid::now_v7().to_string();
    let good = |claims: &Value| sign(claims, "test", Algorithm::HS256, SECRET);
    let mut found = vec![
        (
            "another secret".to_owned(),
            sign(claims, "test", Algorithm::HS256, "another key of somebody, long enough"),
        ),
        ("an empty secret".to_owned(), sign(claims, "test", Algorithm::HS256, "")),
        ("HS384 with the right secret".to_owned(), sign(claims, "test", Algorithm::HS384, SECRET)),
        ("HS512 with the right secret".to_owned(), sign(claims, "test", Algorithm::HS512, SECRET)),
        ("another issuer".to_owned(), good(&with("iss", json!("someone")))),
        ("another audience".to_owned(), good(&with("aud", json!("someone")))),
        ("another person".to_owned(), good(&with("sub", json!(other)))),
        ("a session that never was".to_owned(), good(&with("sid", json!(other)))),
        ("no end".to_owned(), good(&without("exp"))),
        ("no issuer".to_owned(), good(&without("iss"))),
        ("no audience".to_owned(), good(&without("aud"))),
        ("no person".to_owned(), good(&without("sub"))),
        ("no session".to_owned(), good(&without("sid"))),
        ("an end that is no number".to_owned(), good(&with("exp", json!("never")))),
        ("no signature".to_owned(), format!("{}.{}.", parts[0], parts[1])),
        ("two parts".to_owned(), format!("{}.{}", parts[0], parts[1])),
        ("four parts".to_owned(), format!("{}.x", parts.join("."))),
        (
            "other claims under the signature".to_owned(),
            format!("{}.{}.{}", parts[0], encode(&with("exp", json!(99_999_999_999_i64))), parts[2]),
        ),
        ("words".to_owned(), "not.a.token".to_owned()),
        ("a dot".to_owned(), ".".to_owned()),
    ];
    for kid in ["", "other", "../test", "test\u{0}", "TEST", "test ", "/dev/null", "' OR '1'='1"] {
        found.push((format!("the kid {kid:?}"), sign(claims, kid, Algorithm::HS256, SECRET)));
    }
    for header in [
        json!({ "alg": "none", "kid": "test" }),
        json!({ "alg": "None", "kid": "test" }),
        json!({ "alg": "nOnE", "typ": "JWT" }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "RS256", "kid": "test" }),
        json!({ "alg": "ES256", "kid": "test" }),
        json!({ "alg": "HS256", "kid": "test", "jwk": { "kty": "oct", "k": "" } }),
        json!({ "alg": "HS256", "kid": "other", "jku": "http://127.0.0.1:1/keys" }),
        json!({ "kid": "test" }),
    ] {
        for signature in ["", parts[2]] {
            let token = format!("{}.{}.{signature}", encode(&header), parts[1]);
            found.push((format!("the header {header} signed {signature:?}"), token));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_attempts_in_one_request_are_refused_before_any_hash() {
    let app = TestApp::start().await;
    let person = Person::join(&app.client).await;
    let attempt = |n: usize| {
        format!(
            "a{n}: signIn(input: {{ email: \"{}\", password: \"guess-{n}\" }}) {{ userErrors {{ code }} }}",
            person.email
        )
    };
    for count in [2, 100] {
        let attempts: Vec<String> = (0..count).map(attempt).collect();
        let answer = app.client.gql(&format!("mutation {{ {} }}", attempts.join(" ")), json!({})).await;
        assert!(answer.status.is_client_error(), "{answer:?}");
        assert_eq!(answer.errors().len(), 1, "{answer:?}");
        // Nothing ran: there is not even a null for a field.
        assert!(answer.body.get("data").is_none(), "{answer:?}");
    }
    let one = app.client.gql(&format!("mutation {{ {} }}", attempt(0)), json!({})).await;
    assert_eq!(one.data()["a0"]["userErrors"][0]["code"], "INVALID_CREDENTIALS");
    app.close().await;
}
