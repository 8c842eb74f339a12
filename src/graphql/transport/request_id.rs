//! The id of a request: the caller's if it is harmless, else a new one. It is in every answer and every error.

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    extract::{Extension, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use futures_util::FutureExt;

use super::{Transport, answer::Refusal, negotiation::Acceptable};
use crate::{
    error::{AppError, ErrorCode},
    graphql::RequestId,
    platform::{clock::Clock, ids::new_uuid},
};

/// Header of requests and answers.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const MAX_LENGTH: usize = 64;

/// A new id: a version 7 uuid without dashes.
pub(super) fn new(clock: &Clock) -> RequestId {
    RequestId(new_uuid(clock).simple().to_string().into())
}

/// The id that the caller wants, if it has 1 to 64 of `A-Z a-z 0-9 . _ -`: anything else does not go into a log.
fn wanted(headers: &HeaderMap) -> Option<RequestId> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let is_harmless = (1..=MAX_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    is_harmless.then(|| RequestId(text.into()))
}

/// Layer around all routes: gives the request its [`RequestId`] and the answer its header.
pub async fn assign_request_id(
    State(transport): State<Arc<Transport>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = wanted(request.headers()).unwrap_or_else(|| new(&transport.clock));
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

/// Layer below [`assign_request_id`] and whatever else must see every answer: a panic below it becomes one too. Reads
/// what the caller accepts ([`Acceptable`]), for itself and all below.
pub async fn catch_panic(
    State(transport): State<Arc<Transport>>,
    Extension(id): Extension<RequestId>,
    mut request: Request,
    next: Next,
) -> Response {
    let acceptable = Acceptable::of(request.headers());
    request.extensions_mut().insert(acceptable);
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            transport.count_panic();
            let error = AppError::new(ErrorCode::Internal, "Something went wrong on our side.");
            tracing::error!(request.id = %id.0, "a request panicked");
            Refusal::from(error).into_response(&id, acceptable.for_refusal())
        }
    }
}
