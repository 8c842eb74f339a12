//! The life of one socket: one loop over what the client says, what operations have to say, and the clock.

use std::{sync::Arc, time::Duration};

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use futures_util::{FutureExt, SinkExt};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use uuid::Uuid;

use super::{
    super::{Transport, credentials::Bearer, liveness::Liveness, request_id},
    ending::{End, SETTLING, Step, overdue, say_goodbye},
    frames::{self, CloseCode, Incoming},
    operations::Operations,
    pace::Pace,
};
use crate::{
    domains::accounts::Origin,
    error::{AppError, ErrorCode},
    graphql::{Caller, Credential},
    platform::{metrics::names, places::Place},
};

/// Frames written together before the loop looks around again.
const MAX_BATCH: usize = 64;

/// Who introduced themselves on a socket.
struct Member {
    /// `None` for an anonymous client.
    liveness: Option<Liveness>,
    _place: Option<Place<Uuid>>,
}

/// Everything of a socket that waits stays in memory, so what is rare and large is in boxes.
pub struct Session {
    transport: Arc<Transport>,
    socket: WebSocket,
    origin: Origin,
    /// Credential of the handshake; that of `connection_init` comes first.
    bearer: Option<Bearer>,
    /// `None` until `connection_init`.
    member: Option<Member>,
    operations: Operations,
    pace: Pace,
    last_heard: Instant,
}

/// The next message, as soon as the pace allows one. Can be dropped without losing any.
async fn hear(socket: &mut WebSocket, wait: Duration) -> Option<Result<Message, axum::Error>> {
    if !wait.is_zero() {
        sleep(wait).await;
    }
    socket.recv().await
}

impl Session {
    /// Nothing is said yet. In a box, because a future holds what it is given more than once.
    pub fn new(
        transport: Arc<Transport>,
        socket: WebSocket,
        origin: Origin,
        bearer: Option<Bearer>,
    ) -> Box<Self> {
        let last_heard = Instant::now();
        let operations = Operations::new(transport.settings.operations_per_socket);
        let pace = Pace::new(transport.settings.messages_per_second, last_heard);
        Box::new(Self { transport, socket, origin, bearer, member: None, operations, pace, last_heard })
    }

    /// Serves the socket to its end.
    pub async fn serve(mut self: Box<Self>) {
        let closing = self.transport.closing.clone();
        let end = tokio::select! {
            end = self.run() => end,
            () = overdue(closing) => End::Gone,
        };
        names::SOCKET_CLOSES.add([end.label().into()], 1);
        if end.is_orderly() {
            self.settle().await;
        }
        // Whoever has to connect again finds the place free.
        self.operations.clear();
        self.member = None;
        match end {
            End::Gone => {}
            End::Close(code) => say_goodbye(&mut self.socket, code, false).await,
            End::Unreadable(code) => say_goodbye(&mut self.socket, code, true).await,
        }
    }

    /// Ends the socket before anything is heard.
    pub async fn refuse(mut self: Box<Self>, code: CloseCode) {
        say_goodbye(&mut self.socket, code, false).await;
    }

    async fn run(&mut self) -> End {
        let settings = &self.transport.settings;
        let closing = self.transport.closing.clone();
        let mut ping = interval_at(Instant::now() + settings.ping, settings.ping);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let init = sleep(settings.init);
        tokio::pin!(init);
        loop {
            let was_member = self.member.is_some();
            let step = tokio::select! {
                () = closing.cancelled() => Err(End::Close(CloseCode::Restart)),
                () = &mut init, if !was_member => Err(End::Close(CloseCode::InitTimeout)),
                message = hear(&mut self.socket, self.pace.wait(Instant::now())) => self.receive(message).await,
                Some(text) = self.operations.next() => self.deliver(text).await,
                _ = ping.tick() => self.keep_alive().await,
                error = lapsed(self.member.as_mut()) => Err(End::Close(lapse_code(&error))),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn receive(&mut self, message: Option<Result<Message, axum::Error>>) -> Step {
        self.last_heard = Instant::now();
        self.pace.count(self.last_heard);
        match message {
            None => Err(End::Gone),
            Some(Err(_)) => {
                Err(End::Unreadable(CloseCode::Malformed("The message cannot be read or is too long")))
            }
            Some(Ok(Message::Text(text))) => match Incoming::parse(&text) {
                Ok(message) => self.obey(message).await,
                Err(reason) => Err(End::Close(CloseCode::Malformed(reason))),
            },
            Some(Ok(Message::Binary(_))) => Err(End::Close(CloseCode::Malformed("Messages are text"))),
            // The answer to a close frame is sent when the stream is read to its end.
            Some(Ok(Message::Close(_))) => {
                self.operations.clear();
                Ok(())
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
        }
    }

    async fn obey(&mut self, message: Incoming) -> Step {
        match message {
            Incoming::Init { .. } if self.member.is_some() => Err(End::Close(CloseCode::TooManyInits)),
            Incoming::Init { payload } => {
                self.member = Some(Box::pin(self.introduce(payload.as_ref())).await.map_err(End::Close)?);
                self.send(frames::ack()).await
            }
            Incoming::Ping { payload } => self.send(frames::pong(payload)).await,
            Incoming::Pong => Ok(()),
            Incoming::Subscribe { id, payload } => self.subscribe(id, payload).await,
            Incoming::Complete { id } => {
                self.operations.stop(&id);
                Ok(())
            }
        }
    }

    /// Finds out who the client is.
    async fn introduce(&mut self, payload: Option<&serde_json::Value>) -> Result<Member, CloseCode> {
        let of_payload = Bearer::from_payload(payload).map_err(|error| close_code(&error))?;
        let Some(bearer) = of_payload.or_else(|| self.bearer.take()) else {
            return Ok(Member { liveness: None, _place: None });
        };
        let liveness = Liveness::begin(&self.transport, bearer).await.map_err(|error| close_code(&error))?;
        let user_id = liveness.viewer.user_id;
        let place = self.transport.sockets.of_user(user_id).ok_or(CloseCode::TooManySockets)?;
        Ok(Member { liveness: Some(liveness), _place: Some(place) })
    }

    async fn subscribe(&mut self, id: String, payload: serde_json::Map<String, serde_json::Value>) -> Step {
        let Some(member) = &self.member else { return Err(End::Close(CloseCode::Unauthorized)) };
        let credential = match &member.liveness {
            Some(liveness) => Credential::Signed(liveness.viewer),
            None => Credential::Anonymous,
        };
        member.require_valid().map_err(|error| End::Close(lapse_code(&error)))?;
        if self.operations.contains(&id) {
            return Err(End::Close(CloseCode::DuplicateId));
        }
        let request_id = request_id::new(&self.transport.clock);
        let origin = self.origin.clone();
        let caller = Caller { credential, origin, request_id, is_cost_itemized: false, patience: None };
        match self.operations.start(&self.transport, id, payload, caller) {
            Ok(()) => Ok(()),
            Err(refusal) => self.send(refusal).await,
        }
    }

    /// Writes what is ready, then flushes once. How long a write may stall is a matter of the connection.
    async fn deliver(&mut self, first: Utf8Bytes) -> Step {
        let mut next = Some(first);
        for _ in 0..MAX_BATCH {
            let Some(text) = next else { break };
            self.socket.feed(Message::Text(text)).await.map_err(|_| End::Gone)?;
            next = self.operations.next().now_or_never().flatten();
        }
        match next {
            Some(last) => self.send(last).await,
            None => self.socket.flush().await.map_err(|_| End::Gone),
        }
    }

    async fn send(&mut self, text: Utf8Bytes) -> Step {
        self.socket.send(Message::Text(text)).await.map_err(|_| End::Gone)
    }

    /// Lets mutations answer that were begun before the end; a sign-out is one of them. Nothing else is delivered.
    async fn settle(&mut self) {
        self.operations.keep_mutations();
        let answers = async {
            while let Some(text) = self.operations.next().await {
                if self.send(text).await.is_err() {
                    return;
                }
            }
        };
        // One that takes longer goes on without a listener.
        let _ = timeout(SETTLING, answers).await;
    }

    async fn keep_alive(&mut self) -> Step {
        if self.last_heard.elapsed() >= self.transport.settings.silence {
            return Err(End::Gone);
        }
        if let Some(liveness) = self.member.as_ref().and_then(|member| member.liveness.as_ref()) {
            Box::pin(liveness.require_session()).await.map_err(|error| End::Close(lapse_code(&error)))?;
        }
        self.send(frames::ping()).await
    }
}

impl Member {
    fn require_valid(&self) -> Result<(), AppError> {
        self.liveness.as_ref().map_or(Ok(()), Liveness::require_valid)
    }
}

/// Completes when the credential of a member is no good any more.
async fn lapsed(member: Option<&mut Member>) -> AppError {
    match member.and_then(|member| member.liveness.as_mut()) {
        Some(liveness) => liveness.lapsed().await,
        None => std::future::pending().await,
    }
}

/// A credential that was good: the client shall come back with a new one.
fn lapse_code(error: &AppError) -> CloseCode {
    match error.code() {
        ErrorCode::Unauthenticated => CloseCode::Forbidden,
        _ => close_code(error),
    }
}

fn close_code(error: &AppError) -> CloseCode {
    match error.code() {
        ErrorCode::Unauthenticated => CloseCode::Unauthorized,
        ErrorCode::TokenExpired => CloseCode::Forbidden,
        ErrorCode::ServiceUnavailable => CloseCode::TryLater,
        _ => CloseCode::Internal,
    }
}
