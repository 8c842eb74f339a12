//! `POST /graphql`: one operation, one answer.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header::ALLOW},
    response::Response,
};
use http_body_util::{BodyExt, LengthLimitError};

use super::{
    Transport,
    answer::{self, Refusal},
    caller,
    negotiation::{self, Acceptable, Format},
    origin::Peer,
    request, sse,
};
use crate::{
    error::ErrorCode,
    graphql::{RequestId, guard::OperationKind},
};

/// Answers one operation.
pub async fn post(State(transport): State<Arc<Transport>>, peer: Peer, request: Request) -> Response {
    let refused_in = Format::of_refusal(request.headers());
    let is_stream_wanted = Acceptable::of(request.headers()).best() == Some(Format::EventStream);
    let request_id = peer.request_id.clone();
    match answer(&transport, peer, request).await {
        Ok(response) => response,
        Err(refusal) if is_stream_wanted && refusal.is_by_graphql() => sse::refuse(refusal, &request_id),
        Err(refusal) => refusal.into_response(&request_id, refused_in),
    }
}

async fn answer(transport: &Arc<Transport>, peer: Peer, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let acceptable = require_acceptable(&parts.headers)?;
    require_json(&parts.headers)?;
    let body = read(body, transport).await?;
    // Before anything is looked up: what no caller may ask costs no statement.
    let operation = request::admit(request::parse(&body)?, &transport.api.guard_limits)?;
    let format = format_for(operation.kind, &acceptable)?;
    let address = peer.address;
    let caller = caller::identify(&transport.api.accounts, &parts.headers, peer).await?;
    if format == Format::EventStream {
        return sse::respond(transport, &parts.headers, address, operation, caller).await;
    }
    Ok(answer::write(transport.run(operation, caller).await?, format))
}

/// A subscription has more than one result, so it needs a stream, even if a document would be liked better.
fn format_for(kind: OperationKind, acceptable: &Acceptable) -> Result<Format, Refusal> {
    if kind != OperationKind::Subscription {
        return acceptable.best().ok_or_else(not_acceptable);
    }
    if acceptable.allows(Format::EventStream) {
        return Ok(Format::EventStream);
    }
    let message = "Subscriptions need `Accept: text/event-stream`, or a WebSocket to this address with the \
        subprotocol graphql-transport-ws.";
    Err(Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, message))
}

fn require_acceptable(headers: &HeaderMap) -> Result<Acceptable, Refusal> {
    let acceptable = Acceptable::of(headers);
    if acceptable.best().is_some() { Ok(acceptable) } else { Err(not_acceptable()) }
}

fn not_acceptable() -> Refusal {
    let message = "Accept application/graphql-response+json, application/json or text/event-stream.";
    Refusal::new(StatusCode::NOT_ACCEPTABLE, ErrorCode::BadUserInput, message)
}

/// A browser sends other types across sites without asking first, so they must never be executed.
fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
    if negotiation::is_json(headers) {
        return Ok(());
    }
    let message = "Send the request as application/json, in UTF-8.";
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::BadUserInput, message))
}

async fn read(body: Body, transport: &Transport) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(transport.settings.body, body.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if is_too_large(&error) => Err(too_large(transport.settings.body_bytes)),
        Ok(Err(_)) => {
            let message = "The body of the request broke off.";
            Err(Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, message))
        }
        Err(_) => {
            let message = "The body of the request took too long to arrive.";
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::Timeout, message))
        }
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut source = Some(error as &(dyn std::error::Error + 'static));
    while let Some(error) = source {
        if error.is::<LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// The refusal of a body beyond the limit.
pub fn too_large(maximum: usize) -> Refusal {
    let message = format!("The body of the request is too large; the limit is {maximum} bytes.");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::BadUserInput, message)
}

/// The answer to any method but POST, and to GET without an upgrade.
pub async fn refuse_method(method: Method, peer: Peer, headers: HeaderMap) -> Response {
    method_refusal(&method, &peer.request_id, &headers)
}

/// As [`refuse_method`], for who has the parts already.
pub fn method_refusal(method: &Method, request_id: &RequestId, headers: &HeaderMap) -> Response {
    let message =
        format!("{method} is not supported here: send operations by POST, subscriptions by WebSocket.");
    let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::BadUserInput, message);
    let mut response = refusal.into_response(request_id, Format::of_refusal(headers));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}
