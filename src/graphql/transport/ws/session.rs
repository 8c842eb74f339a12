//! The life of one socket: one loop over what the client says, what operations have to say, and the clock.

use std::{future::poll_fn, sync::Arc, time::Duration};

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use futures_util::{FutureExt, SinkExt};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::{
    super::{Transport, credentials::Bearer, request_id},
    ending::{End, GOODBYE, SETTLING, Step, overdue, say_goodbye},
    frames::{self, CloseCode, Incoming},
    member::{Member, over},
    operations::Operations,
    pace::Pace,
};
use crate::{
    domains::accounts::Origin,
    graphql::{Caller, rates::Spending},
    platform::metrics::names,
};

/// Frames written together before the loop looks around again.
const MAX_BATCH: usize = 64;

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
        // One limit for all that is still said: to settle does not put off the goodbye.
        let deadline = Instant::now() + GOODBYE;
        if end.is_orderly() {
            self.settle().await;
        }
        // Whoever has to connect again finds the place free.
        self.operations.clear();
        self.member = None;
        match end {
            End::Gone => {}
            End::Close(code) => say_goodbye(&mut self.socket, code, false, deadline).await,
            End::Unreadable(code) => say_goodbye(&mut self.socket, code, true, deadline).await,
        }
    }

    /// Ends the socket before anything is heard.
    pub async fn refuse(mut self: Box<Self>, code: CloseCode) {
        say_goodbye(&mut self.socket, code, false, Instant::now() + GOODBYE).await;
    }

    async fn run(&mut self) -> End {
        let settings = &self.transport.settings;
        let mut ping = interval_at(Instant::now() + settings.ping, settings.ping);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let init = sleep(settings.init);
        tokio::pin!(init);
        loop {
            let was_member = self.member.is_some();
            // In this order: nothing is done for who may not stay, a sign of life is heard before silence is judged, and
            // results, of which there may be no end, come last. What a client says is bounded by its pace.
            let step = tokio::select! {
                biased;
                end = over(&self.transport.closing, self.member.as_mut()) => Err(end),
                () = &mut init, if !was_member => Err(End::Close(CloseCode::InitTimeout)),
                message = hear(&mut self.socket, self.pace.wait(Instant::now())) => self.receive(message).await,
                _ = ping.tick() => self.keep_alive().await,
                Some(text) = self.operations.next() => self.deliver(text).await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn receive(&mut self, message: Option<Result<Message, axum::Error>>) -> Step {
        self.last_heard = Instant::now();
        self.pace.count(self.last_heard);
        if let Some(member) = &self.member {
            member.note(self.last_heard);
        }
        match message {
            None => Err(End::Gone),
            Some(Err(error)) => Err(End::of_read(error)),
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
                let bearer = self.bearer.take();
                let introduction = Member::introduce(&self.transport, payload.as_ref(), bearer);
                let member = Box::pin(introduction).await.map_err(End::Close)?;
                let ack = frames::ack(matches!(member, Member::Anonymous), payload.as_ref());
                self.member = Some(member);
                self.send(ack).await
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

    async fn subscribe(&mut self, id: String, payload: serde_json::Map<String, serde_json::Value>) -> Step {
        let Some(member) = &self.member else { return Err(End::Close(CloseCode::Unauthorized)) };
        let credential = member.credential()?;
        if self.operations.contains(&id) {
            return Err(End::Close(CloseCode::DuplicateId));
        }
        let request_id = request_id::new(&self.transport.clock);
        let origin = self.origin.clone();
        let caller = Caller {
            credential,
            origin,
            request_id,
            is_cost_itemized: false,
            patience: None,
            spending: Spending::default(),
        };
        match self.operations.start(&self.transport, id, payload, caller) {
            Ok(()) => Ok(()),
            Err(refusal) => self.send(refusal).await,
        }
    }

    /// Writes what is ready while the network takes it, then flushes once.
    async fn deliver(&mut self, first: Utf8Bytes) -> Step {
        self.put(first)?;
        for _ in 1..MAX_BATCH {
            match poll_fn(|context| self.socket.poll_ready_unpin(context)).now_or_never() {
                Some(room) => room.map_err(|_| End::Gone)?,
                None => break,
            }
            let Some(text) = self.operations.next().now_or_never().flatten() else { break };
            self.put(text)?;
        }
        self.flush().await
    }

    async fn send(&mut self, text: Utf8Bytes) -> Step {
        self.put(text)?;
        self.flush().await
    }

    /// Takes a frame into the buffer. There is room whenever nothing is left to flush, so that no frame is lost between
    /// the operation that made it and a flush that is cut short.
    fn put(&mut self, text: Utf8Bytes) -> Step {
        match self.socket.feed(Message::Text(text)).now_or_never() {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(End::Gone),
        }
    }

    async fn flush(&mut self) -> Step {
        match poll_fn(|context| self.socket.poll_flush_unpin(context)).now_or_never() {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(End::Gone),
            None => Box::pin(self.wait_for_reader()).await,
        }
    }

    /// The only place where a socket waits for its client to read. A client that reads slowly must not put off the end
    /// of its right to stay, nor be waited for beyond the time that it may be silent. One that takes nothing at all is
    /// ended earlier, by its connection.
    async fn wait_for_reader(&mut self) -> Step {
        let silence = self.transport.settings.silence;
        tokio::select! {
            biased;
            end = over(&self.transport.closing, self.member.as_mut()) => Err(end),
            flushed = timeout(silence, self.socket.flush()) => match flushed {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(End::Gone),
            },
        }
    }

    /// Lets mutations answer that were begun before the end; a sign-out is one of them. Nothing else is delivered.
    async fn settle(&mut self) {
        self.operations.keep_mutations();
        let answers = async {
            while let Some(text) = self.operations.next().await {
                if self.socket.send(Message::Text(text)).await.is_err() {
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
        if let Some(member) = &self.member {
            Box::pin(member.require_session()).await?;
        }
        self.send(frames::ping()).await
    }
}
