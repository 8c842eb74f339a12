//! A provider seen from outside: every call is counted, and the last outcome is remembered for the operator.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use async_trait::async_trait;
use futures_util::{Stream, StreamExt};
use tokio::time::Instant;

use super::{
    error::{ProviderError, ProviderErrorKind},
    types::{ChatEvent, ChatProvider, ChatRequest, ChatStream, Clearance, Funding},
};
use crate::platform::metrics::{Held, names};

/// How the last call that came to an outcome ended.
#[derive(Debug, Clone, Copy)]
pub struct LastOutcome {
    /// `ok`, or the kind of the failure.
    pub outcome: &'static str,
    /// Since when all calls have ended like this one: well, or not.
    pub since: Instant,
    pub is_ok: bool,
}

/// The last outcome of one provider; clones share it. Empty until a call has ended.
#[derive(Debug, Clone, Default)]
pub struct Standing(Arc<Mutex<Option<LastOutcome>>>);

impl Standing {
    pub fn get(&self) -> Option<LastOutcome> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, outcome: &'static str, is_ok: bool) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match *last {
            Some(before) if before.is_ok == is_ok => before.since,
            _ => Instant::now(),
        };
        *last = Some(LastOutcome { outcome, since, is_ok });
    }
}

/// Passes everything on to `inner`.
pub(super) struct Observed {
    inner: Arc<dyn ChatProvider>,
    standing: Standing,
}

impl Observed {
    pub(super) fn new(inner: Arc<dyn ChatProvider>, standing: Standing) -> Self {
        Self { inner, standing }
    }
}

#[async_trait]
impl ChatProvider for Observed {
    fn key(&self) -> &str {
        self.inner.key()
    }

    async fn stream_chat(
        &self,
        request: &ChatRequest,
        funding: &dyn Funding,
        clearance: &dyn Clearance,
    ) -> Result<ChatStream, ProviderError> {
        let mut call = Call {
            provider: self.inner.key().to_owned(),
            model: request.model.clone(),
            standing: self.standing.clone(),
            started: Instant::now(),
            has_spoken: false,
            is_over: false,
            _open: names::PROVIDER_CALLS_OPEN.hold([]),
        };
        match self.inner.stream_chat(request, funding, clearance).await {
            Ok(stream) => Ok(Box::pin(Watched { stream, call })),
            Err(error) => {
                call.end(Err(error.kind()));
                Err(error)
            }
        }
    }
}

/// A call until it is counted, which is once: dropped without an outcome it was abandoned, and says nothing of the
/// provider.
struct Call {
    provider: String,
    model: String,
    standing: Standing,
    started: Instant,
    has_spoken: bool,
    is_over: bool,
    _open: Held,
}

impl Call {
    fn see(&mut self, event: &Result<ChatEvent, ProviderError>) {
        match event {
            Ok(ChatEvent::Text(_) | ChatEvent::Reasoning(_)) if !self.has_spoken => {
                self.has_spoken = true;
                let labels = [self.provider.clone().into(), self.model.clone().into()];
                names::PROVIDER_FIRST_TOKEN.observe(labels, self.started.elapsed());
            }
            Ok(ChatEvent::Text(_) | ChatEvent::Reasoning(_) | ChatEvent::Usage(_)) => {}
            Ok(ChatEvent::Finished(_)) => self.end(Ok(())),
            Err(error) => self.end(Err(error.kind())),
        }
    }

    fn end(&mut self, result: Result<(), ProviderErrorKind>) {
        let outcome = match result {
            Ok(()) => "ok",
            Err(ProviderErrorKind::Timeout) => "timeout",
            Err(ProviderErrorKind::RateLimited { .. }) => "rate_limited",
            Err(ProviderErrorKind::Refused) => "refused",
            Err(ProviderErrorKind::Fault) => "fault",
            Err(ProviderErrorKind::CutOff) => "cut_off",
        };
        self.standing.note(outcome, result.is_ok());
        self.count(outcome);
    }

    fn count(&mut self, outcome: &'static str) {
        if !std::mem::replace(&mut self.is_over, true) {
            let (provider, model) = (std::mem::take(&mut self.provider), std::mem::take(&mut self.model));
            names::PROVIDER_CALLS.add([provider.into(), model.into(), outcome.into()], 1);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.count("abandoned");
    }
}

struct Watched {
    stream: ChatStream,
    call: Call,
}

impl Stream for Watched {
    type Item = Result<ChatEvent, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.stream.poll_next_unpin(context);
        if let Poll::Ready(Some(event)) = &next {
            self.call.see(event);
        }
        next
    }
}
