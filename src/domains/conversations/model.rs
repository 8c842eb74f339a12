//! Rows of conversations and messages.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::{pg::Pg, prelude::*};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::options::AnswerOptions;
use crate::{
    platform::ids::Entity,
    schema::{conversations, messages},
};

/// A thread of messages.
#[derive(Debug, Clone, Queryable, Selectable, QueryableByName, Insertable, Deserialize)]
#[diesel(table_name = conversations, check_for_backend(Pg))]
pub struct ConversationRow {
    pub id: Uuid,
    pub account_id: Uuid,
    pub created_by: Uuid,
    pub title: Option<String>,
    pub system_prompt: Option<String>,
    pub model_key: Option<String>,
    pub head_id: Option<Uuid>,
    pub message_count: i32,
    /// Of the newest entry of its log.
    pub event_sequence: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// See [`Self::options`].
    pub options: serde_json::Value,
    pub is_starred: bool,
    /// When it was put away.
    pub archived_at: Option<DateTime<Utc>>,
    /// Labels; none of them is `None`, which only the types of columns know.
    pub tags: Vec<Option<String>>,
    pub title_state: String,
}

impl ConversationRow {
    /// What its answers are made with where a message does not say.
    pub fn options(&self) -> AnswerOptions {
        AnswerOptions::deserialize(&self.options).unwrap_or_default()
    }
}

/// Who makes the title of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TitleState {
    /// Nobody has; perhaps it has the first line of a message meanwhile.
    Open,
    /// One was asked of a model, which happens once.
    Asked,
    /// A person or a model has given one.
    Given,
}

impl TitleState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Asked => "asked",
            Self::Given => "given",
        }
    }

    /// That of a conversation for which a person says this title, or none.
    pub fn of(title: Option<&str>) -> Self {
        if title.is_some() { Self::Given } else { Self::Open }
    }
}

impl Entity for ConversationRow {
    const PREFIX: &'static str = "cnv";
}

/// One turn. While it is being written, its content is in the stream log and `parts` is empty.
#[derive(Debug, Clone, Queryable, Selectable, QueryableByName, Deserialize)]
#[diesel(table_name = messages, check_for_backend(Pg))]
pub struct MessageRow {
    pub id: Uuid,
    pub account_id: Uuid,
    /// `None` of a one-shot answer.
    pub conversation_id: Option<Uuid>,
    pub parent_id: Option<Uuid>,
    /// Messages before it on its branch.
    pub depth: i32,
    pub role: String,
    pub author_id: Option<Uuid>,
    pub status: String,
    pub parts: serde_json::Value,
    pub stream_sequence: i32,
    pub created_at: DateTime<Utc>,
    pub edited_at: Option<DateTime<Utc>>,
}

impl MessageRow {
    pub fn status(&self) -> RunStatus {
        RunStatus::parse(&self.status)
    }

    /// Content in order; of an unfinished message it is empty.
    pub fn parts(&self) -> Arc<[Part]> {
        Vec::<Part>::deserialize(&self.parts).unwrap_or_default().into()
    }
}

impl Entity for MessageRow {
    const PREFIX: &'static str = "msg";
}

/// Piece of a message, as stored in `messages.parts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    Text { text: String },
    Reasoning { text: String },
}

impl Part {
    /// All text joined, without reasoning.
    pub fn joined_text(parts: &[Self]) -> String {
        parts
            .iter()
            .filter_map(|part| match part {
                Self::Text { text } => Some(text.as_str()),
                Self::Reasoning { .. } => None,
            })
            .collect()
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageRole {
    User,
    Assistant,
    System,
}

impl MessageRole {
    pub fn parse(text: &str) -> Self {
        match text {
            "user" => Self::User,
            "assistant" => Self::Assistant,
            _ => Self::System,
        }
    }
}

/// State of a run and of the message it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    Queued,
    Running,
    Waiting,
    Succeeded,
    Failed,
    Canceled,
    Interrupted,
    Expired,
}

impl RunStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Interrupted => "interrupted",
            Self::Expired => "expired",
        }
    }

    /// State of a stored name; the database has a check on the names.
    pub fn parse(text: &str) -> Self {
        match text {
            "queued" => Self::Queued,
            "running" => Self::Running,
            "waiting" => Self::Waiting,
            "succeeded" => Self::Succeeded,
            "canceled" => Self::Canceled,
            "interrupted" => Self::Interrupted,
            "expired" => Self::Expired,
            _ => Self::Failed,
        }
    }

    /// True when nothing changes any more.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Running | Self::Waiting)
    }
}
