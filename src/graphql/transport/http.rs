//! `/graphql` over plain HTTP: one operation, one answer.
//!
//! A request is asked in this order, and the first objection is the answer: how many there were from its address (429,
//! before this module sees it), its method (405), what it accepts (406),
//! whether a page of another site could have sent it ([`preflight`], 400), the type of its body (415), its body (408,
//! 413), its shape and its document (400), whether this method may carry this operation (405), and who sends it (401).
//! Nothing is looked up before that last question.
//!
//! `HEAD` is refused like any other method: nobody needs the headers of an operation that is run for nothing.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};

use super::{
    Transport,
    answer::{self, Refusal},
    bodies, caller,
    negotiation::{self, Acceptable, Format},
    origin::Peer,
    preflight, request, sse,
};
use crate::{error::ErrorCode, graphql::guard::OperationKind};

/// The methods of this address.
const METHODS: &str = "GET, POST";

/// Answers one operation, or says what is wrong with the request. Takes every method.
pub async fn answer(State(transport): State<Arc<Transport>>, peer: Peer, request: Request) -> Response {
    let (acceptable, request_id) = (peer.acceptable, peer.request_id.clone());
    let is_stream_wanted = acceptable.best() == Some(Format::EventStream);
    match respond(&transport, peer, request).await {
        Ok(response) => response,
        Err(refusal) if is_stream_wanted && refusal.is_by_graphql() => sse::refuse(refusal, &request_id),
        Err(refusal) => refusal.into_response(&request_id, acceptable.for_refusal()),
    }
}

async fn respond(transport: &Arc<Transport>, peer: Peer, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let fields = match parts.method {
        Method::GET => {
            require_acceptable(peer.acceptable)?;
            preflight::require(&parts.headers, &transport.settings.sites.origins)?;
            request::parse_url(parts.uri.query().unwrap_or_default())?
        }
        Method::POST => {
            require_acceptable(peer.acceptable)?;
            require_json(&parts.headers)?;
            request::parse(&bodies::read(transport, peer.address, body).await?.bytes)?
        }
        other => return Err(refuse_method(&other)),
    };
    // Before anything is looked up: what no caller may ask costs no statement.
    let operation = request::admit(fields, &transport.api.guard_limits, &transport.documents)?;
    require_carried(operation.kind, &parts.method)?;
    let format = choose_format(operation.kind, peer.acceptable)?;
    let address = peer.address;
    let caller = caller::identify(&transport.api.accounts, &parts.headers, peer).await?;
    if format == Format::EventStream {
        // In a box: what is rare shall not make every request larger.
        return Box::pin(sse::respond(transport, &parts.headers, address, operation, caller)).await;
    }
    Ok(answer::write(transport.run(operation, caller).await?, format))
}

fn refuse_method(method: &Method) -> Refusal {
    let message = format!("{method} is not supported here: send operations by POST or GET.");
    Refusal::method_not_allowed(message, METHODS)
}

/// Before the body is read: who takes nothing of ours need not send it.
fn require_acceptable(acceptable: Acceptable) -> Result<(), Refusal> {
    acceptable.best().map(drop).ok_or_else(not_acceptable)
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

/// `GET` is safe: nothing may change by it.
fn require_carried(kind: OperationKind, method: &Method) -> Result<(), Refusal> {
    if kind == OperationKind::Mutation && *method == Method::GET {
        return Err(Refusal::method_not_allowed("A mutation cannot be sent by GET: use POST.", "POST"));
    }
    Ok(())
}

/// A subscription has more than one result, so it needs a stream, even if a document would be liked better.
fn choose_format(kind: OperationKind, acceptable: Acceptable) -> Result<Format, Refusal> {
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
