//! Rows of runs, and what travels through the stream log.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use diesel::{pg::Pg, prelude::*};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    domains::{
        conversations::{MessageRow, Part, RunStatus},
        credits::Balance,
    },
    error::ErrorCode,
    platform::ids::Entity,
    schema::generations,
};

/// One run of a model.
#[derive(Debug, Clone, Queryable, Selectable, Deserialize)]
#[diesel(table_name = generations, check_for_backend(Pg))]
pub struct GenerationRow {
    pub id: Uuid,
    pub account_id: Uuid,
    pub user_id: Uuid,
    pub conversation_id: Option<Uuid>,
    pub message_id: Option<Uuid>,
    pub replica_id: Uuid,
    pub status: String,
    pub requested_model: String,
    pub model_key: String,
    pub terms: serde_json::Value,
    pub is_output_capped: bool,
    pub stop_requested_at: Option<DateTime<Utc>>,
    pub finish_reason: Option<String>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub is_retryable: Option<bool>,
    pub retry_after_seconds: Option<i32>,
    pub input_tokens: Option<i32>,
    pub cached_input_tokens: Option<i32>,
    pub cache_write_tokens: Option<i32>,
    pub output_tokens: Option<i32>,
    pub reasoning_tokens: Option<i32>,
    pub usage_source: Option<String>,
    pub credits_held: i64,
    pub credits_charged: Option<i64>,
    pub revision: i32,
    pub created_at: DateTime<Utc>,
    pub first_output_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub purpose: String,
}

impl Entity for GenerationRow {
    const PREFIX: &'static str = "gen";
}

impl GenerationRow {
    pub fn purpose(&self) -> Purpose {
        Purpose::parse(&self.purpose)
    }

    /// Progress. That a run has begun to speak is known by its first output alone, which is not worth a write more.
    pub fn status(&self) -> RunStatus {
        match RunStatus::parse(&self.status) {
            RunStatus::Queued if self.first_output_at.is_some() => RunStatus::Running,
            status => status,
        }
    }
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// An answer, which is a message.
    Answer,
    /// The title of a conversation; no message.
    Title,
}

impl Purpose {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Title => "title",
        }
    }

    /// Purpose of a stored name; the database has a check on the names.
    pub fn parse(text: &str) -> Self {
        if text == "title" { Self::Title } else { Self::Answer }
    }

    /// Sentence of the ledger for such a run of a model.
    pub fn describe(self, model_key: &str) -> String {
        match self {
            Self::Answer => format!("Answer of {model_key}"),
            Self::Title => format!("Title by {model_key}"),
        }
    }
}

/// Why output ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    Stop,
    Length,
    CreditLimit,
    ToolCalls,
    ContentFilter,
    Canceled,
    Error,
}

impl FinishReason {
    const ALL: [Self; 7] = [
        Self::Stop,
        Self::Length,
        Self::CreditLimit,
        Self::ToolCalls,
        Self::ContentFilter,
        Self::Canceled,
        Self::Error,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::CreditLimit => "credit_limit",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Canceled => "canceled",
            Self::Error => "error",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// Kind of the part that a piece of text belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    Text,
    Reasoning,
}

impl PartKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Reasoning => "reasoning",
        }
    }

    pub fn parse(text: &str) -> Self {
        if text == "reasoning" { Self::Reasoning } else { Self::Text }
    }
}

/// One event of the log: text to append to a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    pub sequence: i32,
    pub part_index: i16,
    pub kind: PartKind,
    pub text: String,
}

/// Content of a message at one point of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub parts: Arc<[Part]>,
    /// Number of the newest event contained.
    pub sequence: i32,
    pub status: RunStatus,
}

impl Content {
    /// The text of an unfinished message, from its log.
    pub fn of_events<'a>(events: impl IntoIterator<Item = &'a Delta>) -> Self {
        let mut draft = Draft::default();
        let mut sequence = 0;
        for event in events {
            draft.push(event.kind, &event.text);
            sequence = event.sequence;
        }
        let status = if sequence == 0 { RunStatus::Queued } else { RunStatus::Running };
        Self { parts: draft.parts.into(), sequence, status }
    }

    /// What a finished message says about itself.
    pub fn of_finished(message: &MessageRow) -> Self {
        Self { parts: message.parts(), sequence: message.stream_sequence, status: message.status() }
    }
}

/// Message that grows: one part of each kind, in the order in which they first appeared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    pub parts: Vec<Part>,
}

impl Draft {
    /// Appends and returns the index of the part that grew.
    pub fn push(&mut self, kind: PartKind, piece: &str) -> i16 {
        let same = |part: &Part| {
            matches!(
                (part, kind),
                (Part::Text { .. }, PartKind::Text) | (Part::Reasoning { .. }, PartKind::Reasoning)
            )
        };
        let index = self.parts.iter().position(same).unwrap_or_else(|| {
            self.parts.push(match kind {
                PartKind::Text => Part::Text { text: String::new() },
                PartKind::Reasoning => Part::Reasoning { text: String::new() },
            });
            self.parts.len() - 1
        });
        if let Some(Part::Text { text } | Part::Reasoning { text }) = self.parts.get_mut(index) {
            text.push_str(piece);
        }
        i16::try_from(index).unwrap_or(i16::MAX)
    }

    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

/// Why a run failed, as people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: ErrorCode,
    pub message: String,
    /// True when the same request may succeed.
    pub is_retryable: bool,
    /// How long the provider wants to be left alone.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// One that may pass the next time.
    pub fn passing(code: ErrorCode, message: &str) -> Self {
        Self { code, message: message.to_owned(), is_retryable: true, retry_after: None }
    }

    /// Of a run that its process could not finish.
    pub fn interrupted() -> Self {
        let message = "The answer was cut off. What was written is kept; ask again for the rest.";
        Self::passing(ErrorCode::Interrupted, message)
    }

    pub fn retry_after_seconds(&self) -> Option<i32> {
        self.retry_after.map(|time| i32::try_from(time.as_secs()).unwrap_or(i32::MAX))
    }
}

/// A run at its end, as watchers are told.
#[derive(Debug, Clone)]
pub struct Finished {
    pub message: MessageRow,
    pub generation: GenerationRow,
    pub balance: Balance,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_keeps_one_part_a_kind_in_order_of_appearance() {
        let mut draft = Draft::default();
        assert_eq!(draft.push(PartKind::Reasoning, "hm"), 0);
        assert_eq!(draft.push(PartKind::Text, "Hel"), 1);
        assert_eq!(draft.push(PartKind::Reasoning, "m"), 0);
        assert_eq!(draft.push(PartKind::Text, "lo"), 1);
        assert_eq!(
            draft.parts,
            [Part::Reasoning { text: "hmm".into() }, Part::Text { text: "Hello".into() }]
        );
    }
}
