//! GraphQL over WebSocket: the protocol `graphql-transport-ws`, and no other.
//!
//! The handshake is refused over HTTP, before anything is upgraded: 400 when it is broken, 401 for a header that is no
//! credential, 403 for a page of another site, 429 for an address with too many sockets, 503 during shutdown. From then
//! on close codes speak, the first of them for a client of another subprotocol; [`CloseCode`] lists them.
//!
//! [`session`] is the loop of one socket, [`member`] who is there, [`ending`] how it ends, [`pace`] how fast it is read, [`admission`] how many
//! there are. [`operations`] runs what is asked for beside the loop, so that a client that does not read stalls only its
//! own writing and never a resolver that holds a connection.

mod admission;
mod ending;
mod frames;
mod member;
mod operations;
mod pace;
mod session;

use std::sync::Arc;

use axum::{
    extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{
        HeaderMap, Method, StatusCode,
        header::{SEC_WEBSOCKET_VERSION, UPGRADE},
    },
    response::Response,
};
use tracing::Instrument;

pub use admission::Sockets;
pub use frames::CloseCode;
use session::Session;

use super::{Transport, answer::Refusal, credentials::Bearer, origin::Peer};
use crate::{
    error::{AppError, ErrorCode},
    platform::metrics::names,
};

const PROTOCOL: &str = "graphql-transport-ws";

/// Read and write buffers of a socket: most are idle, and there are many.
const BUFFER_BYTES: usize = 4 * 1024;

/// True for who wants a socket. Any other upgrade, such as to HTTP/2 in clear text, may be passed over (RFC 9110, 7.8).
pub fn is_wanted(method: &Method, headers: &HeaderMap) -> bool {
    let values = headers.get_all(UPGRADE).iter().filter_map(|value| value.to_str().ok());
    let mut protocols = values.flat_map(|value| value.split(','));
    method == Method::GET && protocols.any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

/// Answers who wants a socket: opens a socket, or says why not.
pub fn open(
    State(transport): State<Arc<Transport>>,
    peer: Peer,
    headers: &HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let (acceptable, request_id) = (peer.acceptable, peer.request_id.clone());
    match upgrade.map_err(refuse_handshake).and_then(|upgrade| accept(transport, peer, headers, upgrade)) {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(&request_id, acceptable.for_refusal()),
    }
}

fn accept(
    transport: Arc<Transport>,
    peer: Peer,
    headers: &HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    if transport.closing.is_cancelled() {
        return Err(AppError::unavailable(anyhow::anyhow!("shutting down")).into());
    }
    if !transport.settings.sites.origins.may_open_socket(headers) {
        let message =
            "Pages of this site may not open a socket here: its origin is not in server.allowed_origins.";
        return Err(Refusal::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, message));
    }
    let bearer = Bearer::from_headers(headers)?;
    let place = transport.sockets.of_address(peer.address).ok_or_else(|| {
        let message = "Too many sockets are open from this address.";
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::RateLimited, message)
    })?;
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_frame_size(transport.settings.message_bytes)
        .max_message_size(transport.settings.message_bytes);
    let is_spoken = upgrade.selected_protocol().is_some();
    let open = (transport.open_sockets.token(), names::SOCKETS.hold([]));
    let span = tracing::info_span!("graphql.socket", request.id = %peer.request_id.0);
    Ok(upgrade.on_upgrade(move |socket| {
        let session = Session::new(transport, socket, peer.origin, bearer);
        async move {
            match is_spoken {
                true => session.serve().await,
                false => session.refuse(CloseCode::UnknownSubprotocol).await,
            }
            drop((place, open));
        }
        .instrument(span)
    }))
}

fn refuse_handshake(rejection: WebSocketUpgradeRejection) -> Refusal {
    let refusal = Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, format!("{rejection}."));
    match rejection {
        WebSocketUpgradeRejection::InvalidWebSocketVersionHeader(_) => {
            refusal.with_header(SEC_WEBSOCKET_VERSION, "13")
        }
        _ => refusal,
    }
}
