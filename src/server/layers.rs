//! What is around every route: what all answers have, whom a request may mean, the limit of bodies, and the answers
//! where no route is. Two functions and not one layer a purpose: each layer costs every request a copy and an allocation.

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    body::Body,
    extract::{Extension, MatchedPath, Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode, Uri, Version,
        header::{CONTENT_LENGTH, HOST},
        uri::Authority,
    },
    middleware::Next,
    response::Response,
};
use futures_util::FutureExt;
use http_body_util::Limited;

use super::{headers, metrics};
use crate::{
    error::{AppError, ErrorCode},
    graphql::{
        RequestId,
        transport::{
            self, REQUEST_ID, Settings, Transport, answer::Refusal, is_loopback_name, negotiation::Acceptable,
        },
    },
};

/// The outermost layer: what every answer has, its id and the headers that bind browsers, and its place in the count of
/// responses. Reads for all below what the caller accepts ([`Acceptable`]).
pub(super) async fn complete(
    State(transport): State<Arc<Transport>>,
    mut request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let id = transport::request_id_of(request.headers(), &transport.clock);
    let acceptable = Acceptable::of(request.headers());
    request.extensions_mut().insert(id.clone());
    request.extensions_mut().insert(acceptable);
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    headers::secure(response.headers_mut(), transport.settings.sites.is_https);
    metrics::count(route.as_ref(), response.status());
    response
}

/// The innermost layer: asks whom the request means and what it brings, and makes a panic of the route an answer like any
/// other.
pub(super) async fn admit(
    State(transport): State<Arc<Transport>>,
    Extension(request_id): Extension<RequestId>,
    Extension(acceptable): Extension<Acceptable>,
    request: Request,
    next: Next,
) -> Response {
    let maximum = transport.settings.body_bytes;
    let refusal = match refuse(&transport, &request) {
        Some(refusal) => refusal,
        None => {
            let limited = request.map(|body| Body::new(Limited::new(body, maximum)));
            match AssertUnwindSafe(next.run(limited)).catch_unwind().await {
                Ok(response) => return response,
                Err(_) => {
                    transport.count_panic();
                    tracing::error!(request.id = %request_id.0, "a request panicked");
                    AppError::new(ErrorCode::Internal, "Something went wrong on our side.").into()
                }
            }
        }
    };
    refusal.into_response(&request_id, acceptable.for_refusal())
}

/// Why a request is refused whatever its route is.
fn refuse(transport: &Transport, request: &Request) -> Option<Refusal> {
    let Settings { sites, body_bytes, .. } = &transport.settings;
    let headers = request.headers();
    if !names_one_host(request.version(), request.uri(), headers) {
        let message =
            "The request must name its host once: in one header Host, and in no other way elsewhere.";
        return Some(Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, message));
    }
    if sites.is_loopback_only && !is_loopback_name(headers) {
        let message =
            "This server is for its own machine: use localhost, or start it with --allow-remote-dev.";
        return Some(Refusal::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, message));
    }
    // Before a byte of it is read.
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.is_some_and(|length: u64| length > *body_bytes as u64).then(|| transport::too_large(*body_bytes))
}

/// True for a request that says in one way which host it means (RFC 9112, 3.2): a proxy before this server might have
/// understood another one.
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
