//! The id of a request: the caller's if it is harmless, else a new one. It is in every answer and every error.

use axum::http::{HeaderMap, HeaderName};

use crate::{
    graphql::RequestId,
    platform::{clock::Clock, ids::new_uuid},
};

/// Header of requests and answers.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const MAX_LENGTH: usize = 64;

/// The id of a request with these headers.
pub fn of(headers: &HeaderMap, clock: &Clock) -> RequestId {
    wanted(headers).unwrap_or_else(|| new(clock))
}

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
