//! What is around every route: whom a request may mean, the limit of bodies, and the answers where no route is.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Extension, Request, State},
    http::{
        HeaderMap, Method, StatusCode, Uri, Version,
        header::{CONTENT_LENGTH, HOST},
        uri::Authority,
    },
    middleware::Next,
    response::Response,
};
use http_body_util::Limited;

use crate::{
    error::ErrorCode,
    graphql::{
        RequestId,
        transport::{self, Transport, answer::Refusal, is_loopback_name, negotiation::Acceptable},
    },
};

/// Refuses a body that says it is too large before a byte of it is read, and cuts one that grows too large.
pub(super) async fn limit_body(
    State(transport): State<Arc<Transport>>,
    Extension(request_id): Extension<RequestId>,
    Extension(acceptable): Extension<Acceptable>,
    request: Request,
    next: Next,
) -> Response {
    let maximum = transport.settings.body_bytes;
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > maximum as u64) {
        return transport::too_large(maximum).into_response(&request_id, acceptable.for_refusal());
    }
    next.run(request.map(|body| Body::new(Limited::new(body, maximum)))).await
}

/// Refuses a request that does not say in one way which host it means (RFC 9112, 3.2): a proxy before this server might
/// have understood another one.
pub(super) async fn require_one_host(
    Extension(request_id): Extension<RequestId>,
    Extension(acceptable): Extension<Acceptable>,
    request: Request,
    next: Next,
) -> Response {
    if names_one_host(request.version(), request.uri(), request.headers()) {
        return next.run(request).await;
    }
    let message = "The request must name its host once: in one header Host, and in no other way elsewhere.";
    let refusal = Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, message);
    refusal.into_response(&request_id, acceptable.for_refusal())
}

fn names_one_host(version: Version, target: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => version == Version::HTTP_10,
        (Some(host), None) => Authority::try_from(host.as_bytes()).is_ok_and(|host| {
            let is_target = target.authority().is_none_or(|target| *target == host);
            is_target && !host.as_str().contains('@')
        }),
        (Some(_), Some(_)) => false,
    }
}

/// Refuses a request that means another machine while only this one is served.
pub(super) async fn require_own_name(
    State(transport): State<Arc<Transport>>,
    Extension(request_id): Extension<RequestId>,
    Extension(acceptable): Extension<Acceptable>,
    request: Request,
    next: Next,
) -> Response {
    if transport.settings.sites.is_loopback_only && !is_loopback_name(request.headers()) {
        let message =
            "This server is for its own machine: use localhost, or start it with --allow-remote-dev.";
        let refusal = Refusal::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, message);
        return refusal.into_response(&request_id, acceptable.for_refusal());
    }
    next.run(request).await
}

pub(super) async fn not_found(
    Extension(request_id): Extension<RequestId>,
    Extension(acceptable): Extension<Acceptable>,
) -> Response {
    let refusal =
        Refusal::new(StatusCode::NOT_FOUND, ErrorCode::BadUserInput, "There is nothing at this address.");
    refusal.into_response(&request_id, acceptable.for_refusal())
}

/// The answer where a route is, but not for this method; the router adds which ones are.
pub(super) async fn method_not_allowed(
    method: Method,
    Extension(request_id): Extension<RequestId>,
    Extension(acceptable): Extension<Acceptable>,
) -> Response {
    let message = format!("{method} is not supported at this address.");
    let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::BadUserInput, message);
    refusal.into_response(&request_id, acceptable.for_refusal())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_its_host_once() {
        let is_one = |version, target: &str, hosts: &[&str]| {
            let headers = hosts.iter().map(|host| (HOST, host.parse().unwrap())).collect();
            names_one_host(version, &target.parse().unwrap(), &headers)
        };
        let (old, new) = (Version::HTTP_10, Version::HTTP_11);
        assert!(is_one(new, "/", &["api.example.com:3000"]) && is_one(new, "/", &["[::1]:3000"]));
        assert!(is_one(new, "http://api.example.com/", &["API.example.com"]));
        assert!(is_one(old, "/", &[]) && is_one(old, "/", &["a"]));
        assert!(!is_one(new, "/", &[]));
        assert!(!is_one(new, "http://evil.example/", &["api.example.com"]));
        assert!(!is_one(new, "http://api.example.com:80/", &["api.example.com"]));
        for hosts in [&["a", "a"][..], &["a", "b"], &[""], &["a b"], &["a/b"], &["a@b"], &["[::1"]] {
            assert!(!is_one(new, "/", hosts) && !is_one(old, "/", hosts), "{hosts:?}");
        }
    }
}
