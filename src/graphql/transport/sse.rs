//! Results as server-sent events: the protocol graphql-sse in its mode of distinct connections, on the same address.
//!
//! An operation is accepted with 200 and its results follow as `next`, the end as `complete`. What GraphQL finds wrong
//! with a request is a result too, as the protocol demands; what HTTP finds (credential, shape, too many streams) is
//! refused by its status, and clients try again.
//!
//! A stream that we end early has no `complete`: when the credential lapses, its session ends or the process stops.
//! Clients of the protocol then connect again by themselves, with new headers, and a resumable subscription goes on.
//!
//! A stream is one connection and so counts as one socket of its address. A user has as many streams as there may be
//! operations on all sockets of that user. Nothing is prepared ahead: the next result is asked for when the connection
//! has room for it, so who does not read stalls only the own stream.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use async_graphql::{Response as GraphqlResponse, ServerError};
use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::Response,
};
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Transport,
    answer::{self, Refusal},
    credentials::Bearer,
    liveness::Liveness,
    negotiation::Format,
    request::Operation,
};
use crate::{
    error::{AppError, ErrorCode, Result},
    graphql::{Caller, RequestId, guard::OperationKind},
    platform::places::Place,
};

/// The end of the results. Browsers pass on only events with data.
const COMPLETE: Bytes = Bytes::from_static(b"event: complete\ndata: \n\n");

/// A comment, which clients ignore. It keeps proxies from giving up, and finds out who has gone.
const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");

/// Tells the usual proxies to pass on every event at once.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Accepts an operation; its results are the body.
pub async fn respond(
    transport: &Arc<Transport>,
    headers: &HeaderMap,
    address: IpAddr,
    operation: Operation,
    caller: Caller,
) -> Result<Response, Refusal> {
    let request_id = caller.request_id.clone();
    let (results, stay) = match operation.kind {
        OperationKind::Subscription => {
            let stay = Stay::begin(transport, headers, address).await?;
            (transport.subscribe(operation, caller).inspect_err(AppError::log).boxed(), Some(stay))
        }
        OperationKind::Query | OperationKind::Mutation => {
            let transport = Arc::clone(transport);
            let result = async move { transport.run(operation, caller).await };
            (stream::once(result).boxed(), None)
        }
    };
    let period = transport.settings.ping;
    let mut ping = interval_at(Instant::now() + period, period);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = Events { results, stay, ping, request_id, is_begun: false, is_complete: false };
    let frames = stream::unfold(events, async |mut events| {
        let frame = events.next().await?;
        Some((Ok::<_, Infallible>(frame), events))
    });
    Ok(accepted(Body::from_stream(frames)))
}

/// What GraphQL found wrong with a request, as the only result.
pub fn refuse(refusal: Refusal, request_id: &RequestId) -> Response {
    let frame = failed(&[refusal.into_error(request_id)]).unwrap_or_default();
    accepted(Body::from([frame, COMPLETE].concat()))
}

fn accepted(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, Format::EventStream.content_type());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// The events of one operation.
struct Events {
    results: BoxStream<'static, Result<GraphqlResponse>>,
    /// `None` for an operation with one result, which ends soon by itself.
    stay: Option<Stay>,
    ping: Interval,
    request_id: RequestId,
    /// A result has been sent.
    is_begun: bool,
    is_complete: bool,
}

impl Events {
    /// The next event or comment; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_complete {
            return None;
        }
        // Nothing is done for who may not stay, and results, of which there may be no end, come last.
        tokio::select! {
            biased;
            () = is_over(self.stay.as_mut()) => None,
            _ = self.ping.tick() => self.keep_alive().await,
            result = self.results.next() => self.write(result),
        }
    }

    fn write(&mut self, result: Option<Result<GraphqlResponse>>) -> Option<Bytes> {
        match result {
            Some(Ok(response)) if self.is_refusal(&response) => failed(&response.errors),
            Some(Ok(response)) => {
                self.is_begun = true;
                next(&response)
            }
            Some(Err(error)) => failed(&[Refusal::from(error).into_error(&self.request_id)]),
            None => {
                // The place is free before the client can know, so that it may use it at once.
                self.stay = None;
                self.is_complete = true;
                Some(COMPLETE)
            }
        }
    }

    fn is_refusal(&self, response: &GraphqlResponse) -> bool {
        let is_first_event = self.stay.is_some() && !self.is_begun;
        answer::is_request_error(response) || (is_first_event && answer::has_no_source(response))
    }

    async fn keep_alive(&mut self) -> Option<Bytes> {
        if let Some(liveness) = self.stay.as_ref().and_then(|stay| stay.liveness.as_ref()) {
            liveness.require_session().await.ok()?;
        }
        Some(KEEP_ALIVE)
    }
}

/// One result. JSON of ours has no line breaks, so it is one line of data.
fn next(result: &impl Serialize) -> Option<Bytes> {
    let mut frame = b"event: next\ndata: ".to_vec();
    if let Err(error) = serde_json::to_writer(&mut frame, result) {
        AppError::internal(error).log();
        return None;
    }
    frame.extend_from_slice(b"\n\n");
    Some(frame.into())
}

/// The result of what was not executed.
fn failed(errors: &[ServerError]) -> Option<Bytes> {
    next(&json!({ "errors": errors }))
}

/// The right of a subscription to stay.
struct Stay {
    closing: CancellationToken,
    /// `None` for an anonymous client.
    liveness: Option<Liveness>,
    _places: (Place<IpAddr>, Option<Place<Uuid>>),
}

impl Stay {
    async fn begin(
        transport: &Arc<Transport>,
        headers: &HeaderMap,
        address: IpAddr,
    ) -> Result<Self, Refusal> {
        if transport.closing.is_cancelled() {
            return Err(AppError::unavailable(anyhow::anyhow!("shutting down")).into());
        }
        let full = |whose: &str| {
            let message = format!("Too many streams are open {whose}.");
            Refusal::from(AppError::new(ErrorCode::RateLimited, message))
        };
        let of_address = transport.sockets.of_address(address).ok_or_else(|| full("from this address"))?;
        let liveness = match Bearer::from_headers(headers)? {
            Some(bearer) => Some(Liveness::begin(transport, bearer).await?),
            None => None,
        };
        let of_user = match &liveness {
            Some(liveness) => {
                let place = transport.streams.take(liveness.viewer.user_id);
                Some(place.ok_or_else(|| full("by this user"))?)
            }
            None => None,
        };
        Ok(Self { closing: transport.closing.clone(), liveness, _places: (of_address, of_user) })
    }
}

/// Completes when a subscription may stay no longer.
async fn is_over(stay: Option<&mut Stay>) {
    let Some(stay) = stay else { return std::future::pending().await };
    let lapsed = async {
        match &mut stay.liveness {
            Some(liveness) => drop(liveness.lapsed().await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = lapsed => {}
        () = stay.closing.cancelled() => {}
    }
}
