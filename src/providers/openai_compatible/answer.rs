//! Reads one answer from its first byte to its end, and decides whether it is whole.
//!
//! A server says that an answer is over by a finish reason, then may send the usage, then `[DONE]`, and then closes;
//! only the finish reason counts. Without it the answer was cut off, whatever else was sent. After it the answer is
//! whole, whatever goes wrong.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::time::timeout;

use super::wire::{Choice, Chunk};
use crate::providers::{
    error::{ProviderError, ProviderErrorKind},
    http::Answer,
    sse::{EventReader, MAX_EVENT},
    types::{ChatEvent, FinishReason, TokenUsage},
};

/// Bound of the text and reasoning of one answer in bytes, several times what the longest models write.
const MAX_TEXT: usize = 4 * 1024 * 1024;

/// How long to wait for the usage once the finish reason is here.
const USAGE_LIMIT: Duration = Duration::from_secs(5);

/// How long to wait for the end of the transfer after `[DONE]`. A connection is used again only if it was read to the
/// end, and the end is nearly always in the same packet.
const DRAIN_LIMIT: Duration = Duration::from_millis(100);

const DONE: &str = "[DONE]";

type Bytes = futures_util::stream::BoxStream<'static, Result<bytes::Bytes, ProviderError>>;

/// Why an answer broke off.
#[derive(Debug)]
pub(super) enum Failure {
    Provider(ProviderError),
    /// With words of the provider that may hold a secret.
    Quoted(ProviderErrorKind, String),
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

/// Turns the bytes of an answer into events.
pub(super) struct AnswerReader {
    source: Source,
    progress: Progress,
    is_concluded: bool,
}

/// What is still to be read.
enum Source {
    Events(EventReader<Bytes>),
    Document(Bytes),
    Nothing,
}

impl AnswerReader {
    pub(super) fn new(answer: Answer) -> Self {
        let source = if answer.is_json {
            Source::Document(answer.bytes)
        } else {
            Source::Events(EventReader::new(answer.bytes))
        };
        Self { source, progress: Progress::default(), is_concluded: false }
    }

    /// The next events, perhaps none; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<ChatEvent>>, Failure> {
        if self.is_concluded {
            return Ok(None);
        }
        match self.read().await {
            Ok(Some(events)) => Ok(Some(events)),
            Err(failure) if self.progress.finish.is_none() => Err(failure),
            Ok(None) | Err(_) => {
                self.is_concluded = true;
                Ok(Some(self.progress.conclude()?))
            }
        }
    }

    /// What the next piece of data adds; `None` when there is no more.
    async fn read(&mut self) -> Result<Option<Vec<ChatEvent>>, Failure> {
        let data = match &mut self.source {
            Source::Events(events) if self.progress.finish.is_some() => {
                timeout(USAGE_LIMIT, events.next()).await.unwrap_or(Ok(None))?.map(String::into_bytes)
            }
            Source::Events(events) => events.next().await?.map(String::into_bytes),
            Source::Document(bytes) => {
                let document = read_document(bytes).await?;
                self.source = Source::Nothing;
                Some(document)
            }
            Source::Nothing => None,
        };
        match data {
            Some(data) if data.trim_ascii() == DONE.as_bytes() => {
                self.drain().await;
                Ok(None)
            }
            Some(data) => Ok(Some(self.progress.read(&data)?)),
            None => Ok(None),
        }
    }

    async fn drain(&mut self) {
        let Source::Events(events) = &mut self.source else { return };
        // What comes now has no meaning, and a transfer that does not end in time just costs its connection.
        let _ = timeout(DRAIN_LIMIT, async { while let Ok(Some(_)) = events.next().await {} }).await;
    }
}

/// All bytes of an answer that is one JSON document.
async fn read_document(bytes: &mut Bytes) -> Result<Vec<u8>, ProviderError> {
    let mut document = Vec::new();
    while let Some(chunk) = bytes.next().await {
        let chunk = chunk?;
        if document.len() + chunk.len() > MAX_EVENT {
            return Err(ProviderError::new(ProviderErrorKind::CutOff, "the document is too large"));
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document)
}

/// What an answer has said about itself so far.
#[derive(Default)]
struct Progress {
    finish: Option<FinishReason>,
    usage: Option<TokenUsage>,
    /// Bytes of text and reasoning.
    length: usize,
}

impl Progress {
    fn read(&mut self, json: &[u8]) -> Result<Vec<ChatEvent>, Failure> {
        let chunk: Chunk =
            serde_json::from_slice(json).map_err(|error| cut_off(format!("not a chunk: {error}")))?;
        if let Some(error) = &chunk.error {
            return Err(self.reported(error));
        }
        // Some servers count along in every chunk; the last count is the right one.
        self.usage = chunk.usage().or(self.usage);
        chunk.into_choice().map_or(Ok(Vec::new()), |choice| self.read_choice(choice))
    }

    fn read_choice(&mut self, mut choice: Choice) -> Result<Vec<ChatEvent>, Failure> {
        let texts = choice.take_texts();
        self.length = self.length.saturating_add(texts.answer.len()).saturating_add(texts.reasoning.len());
        if self.length > MAX_TEXT {
            return Err(cut_off("the text is too long".to_owned()));
        }
        let finish = choice.finish_reason().map_err(|word| cut_off(format!("finish reason {word}")))?;
        self.finish = self.finish.or(finish);
        let mut events = Vec::new();
        if !texts.reasoning.is_empty() {
            events.push(ChatEvent::Reasoning(texts.reasoning));
        }
        if !texts.answer.is_empty() {
            events.push(ChatEvent::Text(texts.answer));
        }
        Ok(events)
    }

    /// The events that end a whole answer.
    fn conclude(&self) -> Result<Vec<ChatEvent>, Failure> {
        let finish =
            self.finish.ok_or_else(|| cut_off("the answer ended without a finish reason".to_owned()))?;
        Ok(self.usage.map(ChatEvent::Usage).into_iter().chain([ChatEvent::Finished(finish)]).collect())
    }

    /// An error that the server sent in place of a chunk. Once a part of the answer is out it is a cut; before that it
    /// is like a refusal by status.
    fn reported(&self, error: &Value) -> Failure {
        let kind = if self.length > 0 { ProviderErrorKind::CutOff } else { kind_of(error) };
        Failure::Quoted(kind, format!("error in the answer: {error}"))
    }
}

fn kind_of(error: &Value) -> ProviderErrorKind {
    let says = |word: &str| {
        ["code", "type"].iter().any(|field| error[field].as_str().is_some_and(|text| text.contains(word)))
    };
    let status = error["code"].as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 400);
    match status {
        Some(status) => ProviderErrorKind::from_status(status, None),
        None if says("rate_limit") => ProviderErrorKind::RateLimited { retry_after: None },
        None if says("invalid_request") || says("authentication") || says("insufficient_quota") => {
            ProviderErrorKind::Refused
        }
        None => ProviderErrorKind::Fault,
    }
}

fn cut_off(words: String) -> Failure {
    Failure::Quoted(ProviderErrorKind::CutOff, words)
}
