//! What is around every route: the limit of bodies, headers that bind browsers, and the answer where no route is.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Extension, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::Next,
    response::Response,
};
use http_body_util::Limited;

use crate::{
    error::ErrorCode,
    graphql::{
        RequestId,
        transport::{self, Transport, answer::Refusal, is_loopback_name, negotiation::Format},
    },
};

/// Headers of every answer whose route does not set its own.
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
];

pub(super) async fn secure(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// Refuses a body that says it is too large before a byte of it is read, and cuts one that grows too large.
pub(super) async fn limit_body(
    State(transport): State<Arc<Transport>>,
    Extension(request_id): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    let maximum = transport.settings.body_bytes;
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > maximum as u64) {
        return transport::too_large(maximum)
            .into_response(&request_id, Format::of_refusal(request.headers()));
    }
    next.run(request.map(|body| Body::new(Limited::new(body, maximum)))).await
}

/// Refuses a request that means another machine while only this one is served.
pub(super) async fn require_own_name(
    State(transport): State<Arc<Transport>>,
    Extension(request_id): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    if transport.settings.sites.is_loopback_only && !is_loopback_name(request.headers()) {
        let message =
            "This server is for its own machine: use localhost, or start it with --allow-remote-dev.";
        let refusal = Refusal::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, message);
        return refusal.into_response(&request_id, Format::of_refusal(request.headers()));
    }
    next.run(request).await
}

pub(super) async fn not_found(Extension(request_id): Extension<RequestId>, headers: HeaderMap) -> Response {
    let refusal =
        Refusal::new(StatusCode::NOT_FOUND, ErrorCode::BadUserInput, "There is nothing at this address.");
    refusal.into_response(&request_id, Format::of_refusal(&headers))
}
