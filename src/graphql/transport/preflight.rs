//! The rule against forged requests: a page of another site must not get its visitor's browser to run an operation.
//!
//! A browser sends simple requests across sites without asking the server first. Such a `POST` carries a form, plain
//! text or no type at all, and is never executed, because a body is `application/json` or refused. Such a `GET` is not
//! executed either: [`require`] wants something that a browser sends only after the server has agreed to it (CORS),
//! which is one of [`HEADERS`], a body type of JSON, as Apollo Client sends with every request, or a bearer token.
//! `Accept` is no such thing. What also passes is a page that may call anyway, by the word of the browser itself: one of
//! an origin that is let in, or one of this very origin (`Sec-Fetch-Site`). The rule does not depend on how callers prove
//! who they are, so it holds for cookies too.

use axum::http::{HeaderMap, HeaderName, StatusCode, header};

use super::{Origins, answer::Refusal, credentials::Bearer, negotiation};
use crate::error::ErrorCode;

/// Any of these, with any text, shows that a browser has asked first.
pub const HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("graphql-require-preflight"),
    HeaderName::from_static("apollo-require-preflight"),
    HeaderName::from_static("x-apollo-operation-name"),
];

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a request that a browser may have sent without asking, for a page that may not call.
pub(super) fn require(headers: &HeaderMap, origins: &Origins) -> Result<(), Refusal> {
    let is_asked_for = is_named(headers) || negotiation::is_json(headers) || has_bearer(headers);
    if is_asked_for || is_let_in(headers, origins) {
        return Ok(());
    }
    let message = "A GET needs one of these, so that no page of another site can send it: the header \
        GraphQL-Require-Preflight: 1, the header Content-Type: application/json, a bearer token, or an origin in \
        server.allowed_origins.";
    Err(Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, message))
}

fn is_named(headers: &HeaderMap) -> bool {
    HEADERS
        .iter()
        .any(|name| headers.get_all(name).iter().any(|value| !value.as_bytes().trim_ascii().is_empty()))
}

/// Never sent by a browser of itself, unlike the passwords of HTTP Basic.
fn has_bearer(headers: &HeaderMap) -> bool {
    matches!(Bearer::from_headers(headers), Ok(Some(_)))
}

/// A browser writes both headers itself, and no page can change them.
fn is_let_in(headers: &HeaderMap, origins: &Origins) -> bool {
    let only = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())
    };
    match only(header::ORIGIN) {
        Some(origin) => origins.has(origin),
        None => {
            !headers.contains_key(header::ORIGIN)
                && only(SEC_FETCH_SITE).is_some_and(|site| site == "same-origin")
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn passes(lines: &[(&'static str, &'static str)]) -> bool {
        let headers = lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        require(&headers.collect(), &Origins::default()).is_ok()
    }

    #[test]
    fn what_a_browser_sends_without_asking_does_not_pass() {
        for lines in [
            &[][..],
            &[("accept", "application/graphql-response+json")],
            &[("accept", "application/json"), ("accept-language", "en"), ("cookie", "session=1")],
            &[("content-type", "text/plain")],
            &[("content-type", "text/plain; application/json")],
            &[("content-type", "application/x-www-form-urlencoded")],
            &[("content-type", "multipart/form-data; boundary=application/json")],
            &[("authorization", "Basic dXNlcjpwYXNz")],
            &[("graphql-require-preflight", "")],
            &[("graphql-require-preflight", " ")],
            &[("origin", "https://evil.example"), ("x-apollo-operation-name", "")],
            &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "none")],
        ] {
            assert!(!passes(lines), "{lines:?}");
        }
    }

    #[test]
    fn what_needs_leave_passes() {
        for line in [
            ("graphql-require-preflight", "1"),
            ("apollo-require-preflight", "true"),
            ("x-apollo-operation-name", "Models"),
            ("content-type", "application/json"),
            ("authorization", "Bearer token"),
            ("sec-fetch-site", "same-origin"),
        ] {
            assert!(passes(&[line]), "{line:?}");
        }
    }
}
