//! The operations of one socket. Each runs in a task of its own and hands its frames to the socket one at a time:
//! when nobody takes them it waits, with its frame finished and no connection in hand.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_graphql::Response;
use axum::extract::ws::Utf8Bytes;
use futures_util::{Stream, StreamExt, stream::BoxStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::{StreamMap, wrappers::ReceiverStream};

use super::{
    super::{
        Transport,
        answer::{self, Refusal},
        measure,
        request::{self, Operation},
    },
    frames,
};
use crate::{
    error::{AppError, ErrorCode},
    graphql::{Caller, RequestId, guard::OperationKind},
};

/// A message to the client about one operation. It goes in a box, because a channel has room for 32 of them however few
/// it may hold.
pub struct Frame {
    pub text: Utf8Bytes,
    /// Nothing follows: the id is free again.
    pub is_last: bool,
}

/// What runs on a socket, by the id that the client chose. Polled in random order, so that no operation starves
/// another.
pub struct Operations {
    running: StreamMap<String, Running>,
    /// Taken by an operation until it has really ended: a mutation outlives its `complete`.
    places: Arc<Semaphore>,
}

/// One operation as the socket sees it.
struct Running {
    frames: ReceiverStream<Box<Frame>>,
    kind: OperationKind,
}

impl Stream for Running {
    type Item = Box<Frame>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Box<Frame>>> {
        self.frames.poll_next_unpin(context)
    }
}

impl Operations {
    pub fn new(limit: usize) -> Self {
        Self { running: StreamMap::new(), places: Arc::new(Semaphore::new(limit)) }
    }

    pub fn contains(&self, id: &str) -> bool {
        self.running.contains_key(id)
    }

    /// Begins what was asked for, or returns the frame that refuses it.
    pub fn start(
        &mut self,
        transport: &Arc<Transport>,
        id: String,
        payload: serde_json::Map<String, serde_json::Value>,
        caller: Caller,
    ) -> Result<(), Utf8Bytes> {
        let refuse = |refusal: Refusal, request_id: &RequestId| {
            Err(frames::error(&id, &[refusal.into_error(request_id)]))
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            measure::count_refusal(ErrorCode::RateLimited);
            let message = "Too many operations run on this socket.";
            return refuse(AppError::new(ErrorCode::RateLimited, message).into(), &caller.request_id);
        };
        let operation = match request::admit(payload, &transport.api.guard_limits, &transport.documents) {
            Ok(operation) => operation,
            Err(refusal) => return refuse(refusal, &caller.request_id),
        };
        let (sender, receiver) = mpsc::channel(1);
        let outlet =
            Outlet { id: id.clone(), request_id: caller.request_id.clone(), sender, place: Some(place) };
        let (kind, tasks) = (operation.kind, &transport.tasks);
        let transport = Arc::clone(transport);
        match kind {
            OperationKind::Query => tasks.spawn(query(transport, operation, caller, outlet)),
            OperationKind::Mutation => tasks.spawn(mutation(transport, operation, caller, outlet)),
            OperationKind::Subscription => tasks.spawn(relay(transport.subscribe(operation, caller), outlet)),
        }
        self.running.insert(id, Running { frames: ReceiverStream::new(receiver), kind });
        Ok(())
    }

    /// Ends an operation of which the client wants no more. A mutation still runs to its end.
    pub fn stop(&mut self, id: &str) {
        self.running.remove(id);
    }

    /// Ends all but mutations.
    pub fn keep_mutations(&mut self) {
        let ended: Vec<String> = self
            .running
            .iter()
            .filter(|(_, running)| running.kind != OperationKind::Mutation)
            .map(|(id, _)| id.clone())
            .collect();
        for id in ended {
            self.running.remove(&id);
        }
    }

    /// Ends all.
    pub fn clear(&mut self) {
        self.running.clear();
    }

    /// The next frame of any operation; `None` while none runs. Can be dropped without losing a frame.
    pub async fn next(&mut self) -> Option<Utf8Bytes> {
        let (id, frame) = self.running.next().await?;
        if frame.is_last {
            self.running.remove(&id);
        }
        Some(frame.text)
    }
}

// Each kind has a task of its own type: a subscription may wait for hours, and would be as large as a query. What is said
// becomes a frame before anything is awaited, so that a waiting task has no answer in it.

async fn query(transport: Arc<Transport>, operation: Operation, caller: Caller, mut outlet: Outlet) {
    tokio::select! {
        () = outlet.sender.closed() => {}
        result = transport.run(operation, caller) => outlet.answer(result).await,
    }
}

async fn mutation(transport: Arc<Transport>, operation: Operation, caller: Caller, mut outlet: Outlet) {
    let result = transport.run(operation, caller).await;
    outlet.answer(result).await;
}

async fn relay(mut events: BoxStream<'static, Result<Response, AppError>>, mut outlet: Outlet) {
    let mut is_first = true;
    let mut is_over = false;
    while !is_over {
        let frame = tokio::select! {
            () = outlet.sender.closed() => return,
            event = events.next() => outlet.event(event, is_first),
        };
        is_first = false;
        is_over = frame.is_last;
        outlet.send(frame).await;
    }
}

/// Way of one operation to its socket. That the socket is gone is no failure: the task sees it and ends.
struct Outlet {
    id: String,
    request_id: RequestId,
    sender: mpsc::Sender<Box<Frame>>,
    /// Given back with the last frame.
    place: Option<OwnedSemaphorePermit>,
}

impl Outlet {
    async fn answer(&mut self, result: Result<Response, AppError>) {
        let frame = match result {
            Ok(response) if answer::is_request_error(&response) => self.refusal(&response),
            Ok(response) => self.next(&response),
            Err(error) => self.failure(error),
        };
        let is_last = frame.is_last;
        self.send(frame).await;
        if !is_last {
            self.send(self.completion()).await;
        }
    }

    /// What a step of a subscription says.
    fn event(&self, event: Option<Result<Response, AppError>>, is_first: bool) -> Box<Frame> {
        match event {
            None => self.completion(),
            Some(Err(error)) => {
                error.log();
                self.failure(error)
            }
            Some(Ok(response)) if is_first && answer::has_no_source(&response) => self.refusal(&response),
            Some(Ok(response)) => self.next(&response),
        }
    }

    fn next(&self, response: &Response) -> Box<Frame> {
        match frames::next(&self.id, response) {
            Ok(text) => Box::new(Frame { text, is_last: false }),
            Err(error) => self.failure(AppError::internal(error)),
        }
    }

    fn completion(&self) -> Box<Frame> {
        Box::new(Frame { text: frames::complete(&self.id), is_last: true })
    }

    fn refusal(&self, response: &Response) -> Box<Frame> {
        Box::new(Frame { text: frames::error(&self.id, &response.errors), is_last: true })
    }

    fn failure(&self, error: AppError) -> Box<Frame> {
        let text = frames::error(&self.id, &[Refusal::from(error).into_error(&self.request_id)]);
        Box::new(Frame { text, is_last: true })
    }

    async fn send(&mut self, frame: Box<Frame>) {
        if frame.is_last {
            // Before the client can know, so that it may use the place at once.
            self.place = None;
        }
        let _ = self.sender.send(frame).await;
    }
}
