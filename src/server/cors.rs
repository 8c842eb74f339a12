//! What browsers are told about calls from pages of other sites. It stands on every answer, errors included: a page
//! that may call may also read why it failed.
//!
//! No answer allows credentials: they come in the header `Authorization`, which a page adds itself, and never in a
//! cookie, which a browser would add for any page.

use std::time::Duration;

use axum::http::{
    HeaderName, Method,
    header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE},
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::graphql::transport::{Origins, PREFLIGHT_HEADERS, RATE_LIMIT, RATE_LIMIT_POLICY, REQUEST_ID};

/// How long a browser may go without asking again. Chromium takes no more.
const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

const METHODS: [Method; 3] = [Method::GET, Method::POST, Method::OPTIONS];

/// What a page may send, beside the headers that show that its browser has asked: what this server reads, and what the
/// clients and the tools for tracing in use add by themselves.
const REQUEST_HEADERS: [HeaderName; 16] = [
    ACCEPT,
    AUTHORIZATION,
    CONTENT_TYPE,
    REQUEST_ID,
    HeaderName::from_static("prefer"),
    HeaderName::from_static("apollographql-client-name"),
    HeaderName::from_static("apollographql-client-version"),
    HeaderName::from_static("graphql-client-name"),
    HeaderName::from_static("graphql-client-version"),
    HeaderName::from_static("graphql-cost-debug"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
    HeaderName::from_static("sentry-trace"),
    HeaderName::from_static("x-requested-with"),
    CACHE_CONTROL,
];

/// What a page may read of an answer, besides what every page may.
const RESPONSE_HEADERS: [HeaderName; 6] = [
    REQUEST_ID,
    RETRY_AFTER,
    RATE_LIMIT,
    RATE_LIMIT_POLICY,
    WWW_AUTHENTICATE,
    HeaderName::from_static("preference-applied"),
];

/// The layer; it answers `OPTIONS` on every path itself. The answer names the caller's origin or none, so it differs
/// by that header alone.
pub(super) fn layer(origins: Origins) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| origins.has(origin)))
        .allow_methods(METHODS)
        .allow_headers(REQUEST_HEADERS.into_iter().chain(PREFLIGHT_HEADERS).collect::<Vec<_>>())
        .expose_headers(RESPONSE_HEADERS)
        .max_age(MAX_AGE)
        .vary([ORIGIN])
}
