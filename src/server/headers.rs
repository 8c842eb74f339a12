//! Headers that bind browsers, on every answer that this program writes. A route may set its own: the explorer has
//! another policy for content, and files that may be kept.

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
        X_CONTENT_TYPE_OPTIONS,
    },
};

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// A browser runs, keeps and shares nothing of an answer. The policy for resources binds only loads that no server is
/// asked about, such as an image in a page of another site; it does not touch what CORS lets through.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (OPENER_POLICY, HeaderValue::from_static("same-origin")),
    (RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
];

/// A year of https. Browsers ignore it over plain http.
const HTTPS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");

/// Adds what the route did not set; `is_https` when browsers are to know this server by https only.
pub(super) fn secure(headers: &mut HeaderMap, is_https: bool) {
    let https_only = is_https.then_some((STRICT_TRANSPORT_SECURITY, HTTPS_ONLY));
    for (name, value) in HEADERS.into_iter().chain(https_only) {
        headers.entry(name).or_insert(value);
    }
}
