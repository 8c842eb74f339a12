//! Running an operation that was admitted: its span, its time limit, and what becomes of a panic.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_graphql::Response;
use futures_util::{FutureExt, Stream, StreamExt, future::ready, stream::BoxStream};
use tracing::{Instrument, Span};

use super::{Transport, answer, measure::Measured, prefer, request::Operation};
use crate::{
    error::{AppError, ErrorCode, Result},
    graphql::{Caller, Patience, guard::OperationKind},
    platform::request,
};

/// Names longer than this are cut in the log.
const MAX_LOGGED_NAME: usize = 64;

impl Transport {
    /// Runs a query or a mutation and completes its errors. A mutation goes on when the caller goes away, up to
    /// the time limit; a query ends with its caller.
    pub async fn run(self: &Arc<Self>, operation: Operation, caller: Caller) -> Result<Response> {
        self.remember(&operation, &caller);
        let span = span(&operation, &caller);
        let kind = operation.kind;
        // Nobody waits for a caller who has gone.
        let _patience = caller.patience.as_ref().map(Patience::end_on_drop);
        let request_id = Some(Arc::clone(&caller.request_id.0));
        let work = Arc::clone(self).execute(operation, caller).instrument(span);
        let work = request::on_behalf(request_id, work);
        match kind {
            OperationKind::Mutation => self.tasks.run(work).await,
            OperationKind::Query | OperationKind::Subscription => work.await,
        }
    }

    async fn execute(self: Arc<Self>, operation: Operation, caller: Caller) -> Result<Response> {
        let request_id = caller.request_id.clone();
        // Nothing but a mutation waits, so nothing else is given more time.
        let patience = caller.patience.clone().filter(|_| operation.kind == OperationKind::Mutation);
        let limit =
            self.settings.operation + patience.as_ref().map_or(Duration::ZERO, |patience| patience.limit);
        let mut measured = self.measure(&operation, &caller);
        let work = self.guarded(self.api.execute(operation.request, caller));
        let result = match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => Err(AppError::new(ErrorCode::Timeout, "The operation took too long.")),
        };
        match result {
            Ok(mut response) => {
                answer::finish(&mut response, &request_id);
                measured.note(&response);
                measured.complete();
                if let Some(patience) = &patience {
                    prefer::acknowledge(&mut response, patience);
                }
                Ok(response)
            }
            Err(error) => {
                measured.fail(error.code());
                error.log();
                Err(error)
            }
        }
    }

    /// The answers of a subscription, their errors completed. A panic is the last of them.
    pub fn subscribe(
        self: &Arc<Self>,
        operation: Operation,
        caller: Caller,
    ) -> BoxStream<'static, Result<Response>> {
        self.remember(&operation, &caller);
        let span = span(&operation, &caller);
        let request_id = caller.request_id.clone();
        let transport = Arc::clone(self);
        let mut measured = self.measure(&operation, &caller);
        let events = self.api.subscribe(operation.request, caller);
        let ends = futures_util::stream::iter([None]);
        let answers =
            AssertUnwindSafe(events).catch_unwind().map(Some).chain(ends).filter_map(move |result| {
                let answer = match result {
                    Some(Ok(mut response)) => {
                        answer::finish(&mut response, &request_id);
                        measured.note(&response);
                        Some(Ok(response))
                    }
                    Some(Err(_)) => {
                        measured.fail(ErrorCode::Internal);
                        Some(Err(transport.panicked()))
                    }
                    None => {
                        measured.complete();
                        None
                    }
                };
                ready(answer)
            });
        in_span(until_error(answers), span).boxed()
    }

    /// Keeps the document of an operation, if its client wishes so and is signed in.
    fn remember(&self, operation: &Operation, caller: &Caller) {
        if let (Some(hash), Some(_)) = (operation.hash, caller.credential.viewer()) {
            self.documents.keep(hash, &operation.request.query);
        }
    }

    fn measure(&self, operation: &Operation, caller: &Caller) -> Measured {
        let name = match caller.credential.viewer() {
            Some(_) => self.operation_names.of_viewer(operation.name.as_deref()),
            None => self.operation_names.of_stranger(operation.name.as_deref()),
        };
        Measured::begin(name, operation.kind)
    }

    async fn guarded<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        AssertUnwindSafe(work).catch_unwind().await.map_err(|_| self.panicked())
    }

    /// The panic itself is in the log already, by the hook of the process.
    fn panicked(&self) -> AppError {
        self.count_panic();
        AppError::internal(anyhow::anyhow!("an operation panicked"))
    }
}

/// One span an operation. Never its variables: they hold passwords and conversations.
fn span(operation: &Operation, caller: &Caller) -> Span {
    let name: Option<String> =
        operation.name.as_ref().map(|name| name.chars().take(MAX_LOGGED_NAME).collect());
    tracing::info_span!(
        "graphql.operation",
        request.id = %caller.request_id.0,
        graphql.operation.name = name,
        graphql.operation.kind = operation.kind.as_str(),
    )
}

/// Everything up to the first failure, that included.
fn until_error<T>(items: impl Stream<Item = Result<T>>) -> impl Stream<Item = Result<T>> {
    items.scan(false, |has_failed, item| {
        if *has_failed {
            return ready(None);
        }
        *has_failed = item.is_err();
        ready(Some(item))
    })
}

/// Polls a stream inside a span.
fn in_span<T>(items: impl Stream<Item = T> + Send, span: Span) -> impl Stream<Item = T> + Send {
    let mut items = Box::pin(items);
    futures_util::stream::poll_fn(move |context| {
        let _entered = span.enter();
        items.as_mut().poll_next(context)
    })
}
