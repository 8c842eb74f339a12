//! Running an operation that was admitted: its span, its time limit, and what becomes of a panic.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_graphql::Response;
use futures_util::{FutureExt, Stream, StreamExt, future::ready, stream::BoxStream};
use tracing::{Instrument, Span};

use super::{Transport, answer, prefer, request::Operation};
use crate::{
    error::{AppError, ErrorCode, Result},
    graphql::{Caller, Patience, guard::OperationKind},
};

/// Names longer than this are cut in the log.
const MAX_LOGGED_NAME: usize = 64;

impl Transport {
    /// Runs a query or a mutation and completes its errors. A mutation goes on when the caller goes away, up to
    /// the time limit; a query ends with its caller.
    pub async fn run(self: &Arc<Self>, operation: Operation, caller: Caller) -> Result<Response> {
        let span = span(&operation, &caller);
        let kind = operation.kind;
        // Nobody waits for a caller who has gone.
        let _patience = caller.patience.as_ref().map(Patience::end_on_drop);
        let work = Arc::clone(self).execute(operation, caller).instrument(span);
        match kind {
            OperationKind::Mutation => self.tasks.run(work).await,
            OperationKind::Query | OperationKind::Subscription => work.await,
        }
    }

    async fn execute(self: Arc<Self>, operation: Operation, caller: Caller) -> Result<Response> {
        let (request_id, patience) = (caller.request_id.clone(), caller.patience.clone());
        let limit =
            self.settings.operation + patience.as_ref().map_or(Duration::ZERO, |patience| patience.limit);
        let work = self.guarded(self.api.execute(operation.request, caller));
        let result = match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => Err(AppError::new(ErrorCode::Timeout, "The operation took too long.")),
        };
        match result {
            Ok(mut response) => {
                answer::finish(&mut response, &request_id);
                if let Some(patience) = &patience {
                    prefer::acknowledge(&mut response, patience);
                }
                Ok(response)
            }
            Err(error) => {
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
        let span = span(&operation, &caller);
        let request_id = caller.request_id.clone();
        let transport = Arc::clone(self);
        let events = self.api.subscribe(operation.request, caller);
        let answers = AssertUnwindSafe(events).catch_unwind().map(move |result| match result {
            Ok(mut response) => {
                answer::finish(&mut response, &request_id);
                Ok(response)
            }
            Err(_) => Err(transport.panicked()),
        });
        in_span(until_error(answers), span).boxed()
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
    let kind = match operation.kind {
        OperationKind::Query => "query",
        OperationKind::Mutation => "mutation",
        OperationKind::Subscription => "subscription",
    };
    tracing::info_span!(
        "graphql.operation",
        request.id = %caller.request_id.0,
        graphql.operation.name = name,
        graphql.operation.kind = kind,
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
