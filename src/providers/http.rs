//! The one way to send a call to a provider: within time limits, and with failures turned into [`ProviderError`]s
//! that do not hold the API key.

use std::{pin::pin, time::Duration};

use async_stream::try_stream;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{Stream, TryStreamExt, stream::BoxStream};
use reqwest::{
    Response, Url,
    header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER},
};
use secrecy::SecretString;
use serde::Serialize;
use tokio::time::{Instant, timeout, timeout_at};

use super::error::{ProviderError, ProviderErrorKind, redact};
use crate::platform::http_client;

/// How much of a refusal is read, in bytes; less of it is logged.
const MAX_REFUSAL: usize = 8 * 1024;

/// Time to read a refusal. It is only for the log, so nobody waits long for it.
const REFUSAL_LIMIT: Duration = Duration::from_secs(2);

/// Time limits of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Until the connection stands.
    pub connect: Duration,
    /// From the call to the head of the response, connecting included.
    pub response_head: Duration,
    /// Between two pieces of the answer. A comment that keeps the connection alive is a piece.
    pub idle: Duration,
    /// From the call to the end of the answer.
    pub total: Duration,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            connect: http_client::CONNECT_LIMIT,
            response_head: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(300),
        }
    }
}

/// Sends calls to one provider, over connections that no other provider can exhaust.
pub(super) struct Caller {
    client: reqwest::Client,
    limits: CallLimits,
    /// Taken out of all that is logged.
    api_key: Option<SecretString>,
}

/// A successful answer whose head has arrived.
pub(super) struct Answer {
    /// It is one JSON document, not a stream of events.
    pub(super) is_json: bool,
    /// The body; ends with `CutOff` when a time limit is over or the connection is lost.
    pub(super) bytes: BoxStream<'static, Result<Bytes, ProviderError>>,
}

/// An answer that was read as a whole.
pub(super) struct Document {
    /// HTTP status.
    pub(super) status: u16,
    /// The clock of the provider, when it said so.
    pub(super) date: Option<DateTime<Utc>>,
    pub(super) body: Vec<u8>,
}

impl Caller {
    /// # Errors
    /// Those of [`http_client::build`].
    pub(super) fn try_new(limits: CallLimits, api_key: Option<SecretString>) -> Result<Self, reqwest::Error> {
        Ok(Self { client: http_client::build(limits.connect)?, limits, api_key })
    }

    /// Posts `body` as JSON, once, and waits for the head of the answer.
    pub(super) async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: &impl Serialize,
    ) -> Result<Answer, ProviderError> {
        let deadline = Instant::now() + self.limits.total;
        let response = self.send(self.client.post(url.clone()).headers(headers).json(body)).await?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let is_json =
            header(&response, &CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json"));
        Ok(Answer { is_json, bytes: Box::pin(timed_bytes(response, self.limits.idle, deadline)) })
    }

    /// Asks for `url` and reads the answer, up to `most` bytes of it and whatever its status.
    pub(super) async fn get(
        &self,
        url: &Url,
        headers: HeaderMap,
        most: usize,
    ) -> Result<Document, ProviderError> {
        let deadline = Instant::now() + self.limits.total;
        let response = self.send(self.client.get(url.clone()).headers(headers)).await?;
        let status = response.status().as_u16();
        let date = header(&response, &DATE).and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        let date = date.map(|date| date.to_utc());
        let mut chunks = pin!(timed_bytes(response, self.limits.idle, deadline));
        let mut body = Vec::new();
        while let Some(chunk) = chunks.try_next().await? {
            body.extend_from_slice(&chunk[..chunk.len().min(most - body.len())]);
            if body.len() == most {
                break;
            }
        }
        Ok(Document { status, date, body })
    }

    /// Waits for the head of the answer.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, ProviderError> {
        timeout(self.limits.response_head.min(self.limits.total), request.send())
            .await
            .map_err(|_| ProviderError::new(ProviderErrorKind::Timeout, "no response head in time"))?
            .map_err(|error| {
                let kind =
                    if error.is_timeout() { ProviderErrorKind::Timeout } else { ProviderErrorKind::Fault };
                ProviderError::new(kind, self.redact(&with_sources(error), false))
            })
    }

    /// `text` without the API key, see [`redact`].
    pub(super) fn redact(&self, text: &str, is_cut: bool) -> String {
        redact(text, self.api_key.as_ref(), is_cut)
    }

    async fn refusal(&self, mut response: Response) -> ProviderError {
        let status = response.status().as_u16();
        let kind = ProviderErrorKind::from_status(status, retry_after(&response));
        let until = Instant::now() + REFUSAL_LIMIT;
        let mut body = Vec::new();
        let is_cut = loop {
            match timeout_at(until, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    body.extend_from_slice(&chunk[..chunk.len().min(MAX_REFUSAL - body.len())])
                }
                Ok(Ok(None)) => break false,
                Ok(Err(_)) | Err(_) => break true,
            }
            if body.len() == MAX_REFUSAL {
                break true;
            }
        };
        let body = self.redact(&String::from_utf8_lossy(&body), is_cut);
        ProviderError::new(kind, format_args!("HTTP {status}: {body}"))
    }
}

/// The body of `response`, at most `idle` between two chunks and until `deadline` in all.
fn timed_bytes(
    mut response: Response,
    idle: Duration,
    deadline: Instant,
) -> impl Stream<Item = Result<Bytes, ProviderError>> + Send {
    let cut_off = |detail: &str| ProviderError::new(ProviderErrorKind::CutOff, detail);
    try_stream! {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Asked for each chunk, because one that is already there would win against a timer that has run out.
            if left.is_zero() {
                Err(cut_off("the answer took too long"))?;
            }
            let chunk = timeout(idle.min(left), response.chunk())
                .await
                .map_err(|_| cut_off("the answer stalled"))?
                .map_err(|error| cut_off(&with_sources(error)))?;
            match chunk {
                Some(chunk) => yield chunk,
                None => break,
            }
        }
    }
}

/// How long to wait, from seconds or an HTTP date. A date is compared with the `Date` of the same response, so it does
/// not matter how far the provider's clock is from ours; one in the past means now.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = header(response, &RETRY_AFTER)?.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = DateTime::parse_from_rfc2822(value).ok()?;
    let now = DateTime::parse_from_rfc2822(header(response, &DATE)?).ok()?;
    Some((until - now).to_std().unwrap_or_default())
}

fn header<'a>(response: &'a Response, name: &HeaderName) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// The error with its causes, without the address, which may hold more than a log should.
fn with_sources(error: reqwest::Error) -> String {
    format!("{:#}", anyhow::Error::from(error.without_url()))
}
