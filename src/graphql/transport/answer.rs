//! Answers: what is refused before execution, how errors are completed, and how both are written.

use async_graphql::{ErrorExtensionValues, Pos, Response as GraphqlResponse, ServerError, Value};
use async_graphql_axum::GraphQLResponse;
use axum::{
    Json,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::negotiation::Format;
use crate::{
    error::{AppError, ErrorCode},
    graphql::{
        RequestId, errors,
        guard::{self, RefusalCode},
    },
    platform::metrics::names,
};

/// An operation can fail in thousands of places; more than the first few help nobody.
const MAX_ERRORS: usize = 10;

/// A request that was not executed: one error, and the HTTP status that fits it.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    /// Boxed: a refusal is the rare side of many results.
    error: Box<ServerError>,
    code: ErrorCode,
    /// GraphQL itself found the fault in a well-formed request.
    is_by_graphql: bool,
    /// A header that says more.
    header: Option<(HeaderName, &'static str)>,
}

impl Refusal {
    /// `message` is a finished sentence.
    pub fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        let mut error = ServerError::new(message, None);
        error.extensions.get_or_insert_default().set("code", code.as_str());
        Self { status, error: Box::new(error), code, is_by_graphql: false, header: None }
    }

    /// The refusal of a method; `allowed` lists those that are right, such as `GET, POST`.
    pub fn method_not_allowed(message: impl Into<String>, allowed: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::BadUserInput, message)
            .with_header(ALLOW, allowed)
    }

    /// The same with a header beside its status, in place of one that was given before.
    pub fn with_header(self, name: HeaderName, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    /// The request was well-formed and GraphQL found the fault, which older clients hear with status 200.
    pub fn by_graphql(self) -> Self {
        Self { is_by_graphql: true, ..self }
    }

    /// Why.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// True when GraphQL itself found the fault in a well-formed request.
    pub fn is_by_graphql(&self) -> bool {
        self.is_by_graphql
    }

    /// The error with the id of its request.
    pub fn into_error(mut self, request_id: &RequestId) -> ServerError {
        errors::complete(&mut self.error, &request_id.0);
        *self.error
    }

    /// The whole answer.
    pub fn into_response(mut self, request_id: &RequestId, format: Format) -> Response {
        let status = match format {
            Format::Json if self.is_by_graphql => StatusCode::OK,
            _ => self.status,
        };
        let header = self.header.take();
        let mut response = without_data(status, &[self.into_error(request_id)], format);
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

impl From<AppError> for Refusal {
    fn from(error: AppError) -> Self {
        let mut refusal = Self::new(status_of(error.code()), error.code(), error.message());
        refusal.error.extensions = Some(errors::extensions(&error));
        refusal
    }
}

impl From<guard::Refusal> for Refusal {
    fn from(refusal: guard::Refusal) -> Self {
        let code = match refusal.code {
            RefusalCode::ParseFailed => ErrorCode::ParseFailed,
            RefusalCode::ValidationFailed => ErrorCode::ValidationFailed,
            RefusalCode::TooDeep => ErrorCode::QueryTooDeep,
            RefusalCode::TooExpensive => ErrorCode::QueryTooExpensive,
            RefusalCode::BadUserInput => ErrorCode::BadUserInput,
        };
        names::GUARD_REFUSALS.add([code.as_str().into()], 1);
        let mut extensions = ErrorExtensionValues::default();
        extensions.set("code", code.as_str());
        if let (Some(measured), Some(maximum)) = (refusal.measured, refusal.maximum) {
            extensions.set("measured", measured);
            extensions.set("maximum", maximum);
        }
        // Line 0 stands for no place in the document.
        let place = (refusal.line > 0)
            .then_some(Pos { line: refusal.line as usize, column: refusal.column as usize });
        let mut error = ServerError::new(refusal.message, place);
        error.extensions = Some(extensions);
        Self { error: Box::new(error), ..Self::new(status_of(code), code, "").by_graphql() }
    }
}

fn status_of(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The code of a request that was not executed is that of its first error.
fn code_of(errors: &[ServerError]) -> Option<ErrorCode> {
    match errors.first()?.extensions.as_ref()?.get("code")? {
        Value::String(code) => ErrorCode::parse(code),
        _ => None,
    }
}

/// Completes the errors of an answer: every one has its code and request id, none is there twice, and there are few.
pub fn finish(response: &mut GraphqlResponse, request_id: &RequestId) {
    let mut kept: Vec<ServerError> = Vec::new();
    for mut error in std::mem::take(&mut response.errors) {
        if kept.len() == MAX_ERRORS {
            break;
        }
        if !kept.iter().any(|other| other.message == error.message && other.path == error.path) {
            errors::complete(&mut error, &request_id.0);
            kept.push(error);
        }
    }
    response.errors = kept;
}

/// True when execution never began: the engine found the fault in the request, so its errors are at no field.
pub fn is_request_error(response: &GraphqlResponse) -> bool {
    response.is_err()
        && response.data == Value::Null
        && response.errors.iter().all(|error| error.path.is_empty())
}

/// True when the first event of a subscription says that no source of events came about: an error of the request, though
/// the engine names the root field. A field below it fails in an event like any other.
pub fn has_no_source(first: &GraphqlResponse) -> bool {
    first.is_err() && first.data == Value::Null && first.errors.iter().all(|error| error.path.len() <= 1)
}

/// Writes a finished answer of the engine.
pub fn write(response: GraphqlResponse, format: Format) -> Response {
    if is_request_error(&response) {
        let status = match format {
            Format::Json => StatusCode::OK,
            _ => code_of(&response.errors).map_or(StatusCode::BAD_REQUEST, status_of),
        };
        return without_data(status, &response.errors, format);
    }
    let mut written = GraphQLResponse::from(response).into_response();
    written.headers_mut().insert(CONTENT_TYPE, format.content_type());
    written
}

/// Whole seconds until a repeat makes sense: those that the first error names, or one.
fn retry_after(refused: &[ServerError]) -> u64 {
    let extensions = refused.first().and_then(|error| error.extensions.as_ref());
    match extensions.and_then(|extensions| extensions.get(errors::RETRY_AFTER_SECONDS)) {
        Some(Value::Number(seconds)) => seconds.as_u64().unwrap_or(1),
        _ => 1,
    }
}

#[derive(Serialize)]
struct RequestErrors<'a> {
    errors: &'a [ServerError],
}

/// The specification wants no `data` key when nothing was executed, while the engine's own type always has one. Says when
/// to come back if waiting helps, and which credential if one is missing.
fn without_data(status: StatusCode, errors: &[ServerError], format: Format) -> Response {
    let mut response = (status, Json(RequestErrors { errors })).into_response();
    response.headers_mut().insert(CONTENT_TYPE, format.content_type());
    if matches!(code_of(errors), Some(ErrorCode::RateLimited | ErrorCode::ServiceUnavailable)) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after(errors)));
    }
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_few_and_none_is_there_twice() {
        let repeated = std::iter::repeat_n("same".to_owned(), 50);
        let errors = repeated.chain((0..50).map(|n| n.to_string())).map(|text| ServerError::new(text, None));
        let mut response = GraphqlResponse::from_errors(errors.collect());
        finish(&mut response, &RequestId("id".into()));
        let messages: Vec<&str> = response.errors.iter().map(|error| error.message.as_str()).collect();
        assert_eq!(messages, ["same", "0", "1", "2", "3", "4", "5", "6", "7", "8"]);
        assert!(response.errors.iter().all(|error| error.extensions.is_some()));
    }

    fn refused(code: ErrorCode) -> GraphqlResponse {
        let mut error = ServerError::new("A sentence.", None);
        error.extensions.get_or_insert_default().set("code", code.as_str());
        GraphqlResponse::from_errors(vec![error])
    }

    #[test]
    fn a_request_that_was_not_executed_has_the_status_of_its_code() {
        for &code in ErrorCode::ALL.iter().filter(|code| !code.is_user_error()) {
            let newer = write(refused(code), Format::GraphqlResponse);
            let older = write(refused(code), Format::Json);
            assert_eq!(newer.status(), code.http_status(), "{code:?}");
            assert_eq!(older.status(), StatusCode::OK, "{code:?}");
            let should_wait = matches!(code, ErrorCode::RateLimited | ErrorCode::ServiceUnavailable);
            for answer in [newer, older] {
                assert_eq!(answer.headers().contains_key(RETRY_AFTER), should_wait, "{code:?}");
                let is_challenged = answer.headers().contains_key(WWW_AUTHENTICATE);
                assert_eq!(is_challenged, answer.status() == StatusCode::UNAUTHORIZED, "{code:?}");
            }
        }
        let unnamed = GraphqlResponse::from_errors(vec![ServerError::new("A sentence.", None)]);
        assert_eq!(write(unnamed, Format::GraphqlResponse).status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn what_was_executed_is_a_success_whatever_its_fields_say() {
        for format in [Format::GraphqlResponse, Format::Json] {
            let mut response = refused(ErrorCode::Unauthenticated);
            response.errors[0].path.push(async_graphql::PathSegment::Field("viewer".to_owned()));
            assert_eq!(write(response, format).status(), StatusCode::OK);
        }
    }
}
