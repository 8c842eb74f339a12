//! Headers that bind browsers, over all routes and statuses, and the methods of all routes.

use std::collections::BTreeSet;

use loquent::{graphql::transport::Settings, server::Check};
use reqwest::{Method, header::HeaderMap};
use serde_json::json;

use super::probe::{Site, configured};
use crate::support::client::Answer;

const ORIGIN: &str = "https://app.example.com";

/// Each must stand there once, with this value unless the route has its own.
const BINDING: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Every route of the server, with the methods that it has.
const ROUTES: [(&str, &[&str]); 11] = [
    ("/graphql", &["GET", "POST"]),
    ("/graphql/schema.graphql", &["GET", "HEAD"]),
    ("/docs/errors", &["GET", "HEAD"]),
    ("/livez", &["GET", "HEAD"]),
    ("/readyz", &["GET", "HEAD"]),
    ("/", &["GET", "HEAD"]),
    ("/graphiql", &["GET", "HEAD"]),
    ("/graphiql/", &["GET", "HEAD"]),
    ("/graphiql/config.json", &["GET", "HEAD"]),
    ("/graphiql/LICENSES.txt", &["GET", "HEAD"]),
    ("/graphiql/assets/none.js", &["GET", "HEAD"]),
];

async fn site(public_url: &str, change: impl FnOnce(&mut Settings), checks: Vec<Check>) -> Site {
    let file = format!("[server]\nallowed_origins = [\"{ORIGIN}\"]\n{public_url}");
    let change = |settings: &mut Settings| {
        *settings = configured(false, &file);
        settings.body_bytes = 1024;
        change(settings);
    };
    Site::start_with(change, checks).await
}

async fn ask(site: &Site, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = site.client.request(method, path).header("origin", ORIGIN);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    site.client.send(request).await
}

async fn post(site: &Site, body: String, headers: &[(&str, &str)]) -> Answer {
    let mut request = site.client.post(body).header("origin", ORIGIN).header("x-request-id", "mine");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    site.client.send(request).await
}

fn all<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

/// Routes with a policy of their own, whose answers may be kept.
const PUBLISHED: [&str; 3] = ["/graphiql", "/graphql/schema.graphql", "/docs/errors"];

/// What every answer has, and what only the published pages may say otherwise.
fn assert_bound(name: &str, headers: &HeaderMap) {
    for (header, value) in BINDING {
        let found = all(headers, header);
        let is_own = PUBLISHED.iter().any(|path| name.contains(path))
            && matches!(header, "cache-control" | "content-security-policy");
        assert_eq!(found.len(), 1, "{name}: {header}");
        assert!(is_own || found == [value], "{name}: {header}: {found:?}");
        assert!(header != "content-security-policy" || found[0].contains("frame-ancestors 'none'"), "{name}");
    }
    assert_eq!(all(headers, "strict-transport-security"), ["max-age=31536000; includeSubDomains"], "{name}");
    assert_eq!(all(headers, "x-request-id").len(), 1, "{name}");
    assert_eq!(all(headers, "access-control-allow-origin"), [ORIGIN], "{name}");
    let vary = all(headers, "vary").join(",");
    assert!(vary.split(',').any(|field| field.trim().eq_ignore_ascii_case("origin")), "{name}: {vary}");
    for header in ["server", "x-powered-by", "access-control-allow-credentials", "x-xss-protection"] {
        assert!(all(headers, header).is_empty(), "{name}: {header}");
    }
}

const HTTPS: &str = "public_url = \"https://api.example.com\"";

#[tokio::test]
async fn every_answer_of_every_status_binds_the_browser() {
    let broken = Check::new("broken", || async { panic!("a check of a test") });
    let site =
        site(HTTPS, |settings| settings.operation = std::time::Duration::from_millis(50), vec![broken]).await;
    let operation =
        |name: &str| json!({ "query": format!("query {name} {{ __typename }}"), "operationName": name });
    let json = ("content-type", "application/json");
    let token = format!("Bearer {}", site.token());
    let mut seen = BTreeSet::new();
    for (name, answer) in [
        ("200", post(&site, operation("Works").to_string(), &[json]).await),
        ("200 older", post(&site, operation("{").to_string(), &[json, ("accept", "application/json")]).await),
        (
            "200 preflight",
            ask(&site, "OPTIONS", "/graphql", &[("access-control-request-method", "POST")]).await,
        ),
        ("200 /graphiql", ask(&site, "GET", "/graphiql", &[]).await),
        ("304 /graphiql", kept(&site).await),
        ("307", ask(&site, "GET", "/", &[]).await),
        ("308 /graphiql/", ask(&site, "GET", "/graphiql/", &[]).await),
        ("400", post(&site, "{".into(), &[json]).await),
        ("400 in GraphQL", post(&site, operation("{").to_string(), &[json]).await),
        (
            "400 handshake",
            ask(&site, "GET", "/graphql", &[("upgrade", "websocket"), ("connection", "upgrade")]).await,
        ),
        ("401", post(&site, operation("A").to_string(), &[json, ("authorization", "Bearer x")]).await),
        ("404", ask(&site, "GET", "/nowhere", &[]).await),
        ("404 /graphiql", ask(&site, "GET", "/graphiql/assets/none.js", &[]).await),
        ("405", ask(&site, "DELETE", "/graphql", &[]).await),
        ("405 /livez", ask(&site, "POST", "/livez", &[]).await),
        ("413", post(&site, "x".repeat(1025), &[json]).await),
        ("415", post(&site, operation("A").to_string(), &[]).await),
        ("500", post(&site, operation("Panics").to_string(), &[json]).await),
        ("500 a panic outside GraphQL", ask(&site, "GET", "/readyz", &[]).await),
        ("503", post(&site, operation("A").to_string(), &[json, ("authorization", &token)]).await),
        ("504", post(&site, operation("Hangs").to_string(), &[json]).await),
    ] {
        let status = answer.status.as_u16();
        assert!(name.starts_with(&status.to_string()), "{name}: {answer:?}");
        assert_bound(name, &answer.headers);
        assert_eq!(answer.headers.contains_key("allow"), status == 405, "{name}");
        assert!(
            name.contains("/graphiql") || status < 400 || answer.errors().len() == 1,
            "{name}: {answer:?}"
        );
        seen.insert(status);
    }
    let expected = [200, 304, 307, 308, 400, 401, 404, 405, 413, 415, 500, 503, 504];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
}

/// The page again, for a browser that has it.
async fn kept(site: &Site) -> Answer {
    let page = ask(site, "GET", "/graphiql", &[]).await;
    ask(site, "GET", "/graphiql", &[("if-none-match", page.header("etag"))]).await
}

#[tokio::test]
async fn refusals_of_the_whole_server_bind_the_browser_too() {
    let change = |settings: &mut Settings| settings.sites.is_loopback_only = true;
    let site = site(HTTPS, change, Vec::new()).await;
    for path in ["/graphql", "/livez", "/nowhere", "/graphiql"] {
        let answer = ask(&site, "GET", path, &[("host", "evil.example")]).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (403, "FORBIDDEN"), "{path}");
        assert_bound("403", &answer.headers);
    }
}

#[tokio::test]
async fn only_who_is_known_by_https_binds_browsers_to_it() {
    for public_url in ["", "public_url = \"http://api.example.com\""] {
        let site = site(public_url, |_| {}, Vec::new()).await;
        let answer = ask(&site, "GET", "/livez", &[]).await;
        assert_eq!(answer.header("strict-transport-security"), "", "{public_url}");
    }
}

#[tokio::test]
async fn each_route_has_its_methods_and_says_which() {
    let site = site(HTTPS, |_| {}, Vec::new()).await;
    for (path, methods) in ROUTES {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY", "PROPFIND", "BREW"]
        {
            let answer = ask(&site, method, path, &[]).await;
            let status = answer.status.as_u16();
            assert_eq!(status == 405, !methods.contains(&method), "{method} {path}: {status}");
            let allowed: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
            let expected = if status == 405 { methods } else { &[""] };
            assert_eq!(allowed, expected, "{method} {path}");
            assert_bound(path, &answer.headers);
        }
        // The answer to a preflight may say it too, if it is so.
        let allowed = ask(&site, "OPTIONS", path, &[]).await.header("allow").replace(',', ", ");
        assert!(allowed.is_empty() || allowed == methods.join(", "), "OPTIONS {path}: {allowed}");
    }
    for path in ["/nowhere", "/graphql/", "/graphql/x", "/GraphQL", "//graphql", "/livez/", "/graphql%2f"] {
        for method in ["GET", "POST", "DELETE", "TRACE", "BREW"] {
            let answer = ask(&site, method, path, &[]).await;
            assert_eq!(answer.status.as_u16(), 404, "{method} {path}");
        }
    }
    assert_eq!(site.probe.reached(), 0);
}
