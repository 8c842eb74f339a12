//! Watching a conversation: its log, read on from where the watcher is. The log is in the database, so nothing is queued
//! for anybody: who is slow reads on later, and who comes back says which entry was the last.
//!
//! - What is delivered has the sequences n+1, n+2 and so on without a hole, or begins anew with a snapshot: without a
//!   place to go on from, when the log is not kept back to there, or when it has not come that far.
//! - Each entry shows how things are when it is read, not how they were. A message that has been removed since is told
//!   as removed at each of its entries, so what a client has at the end is right.
//! - Access is asked for with every reading. A watcher whose conversation is gone, or not theirs any more, is at the end.

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use uuid::Uuid;

use super::{
    Conversations,
    model::{ConversationRow, MessageRow},
    repo::{self, EntryKind, LogEntry, LogPage},
};
use crate::{
    domains::accounts::Viewer,
    error::{AppError, ErrorCode, Result},
    platform::postgres::{
        Db,
        revisions::{Reader, RevisionWatch, Step, Then, follow},
    },
};

/// The conversations that are watched in this process.
pub type ConversationWatch = RevisionWatch<repo::WatchedConversations>;

/// What a watcher of a conversation gets.
#[derive(Debug, Clone)]
pub struct ConversationEvent {
    pub conversation_id: Uuid,
    /// Place in the log; of a snapshot, that of the newest entry contained.
    pub sequence: i32,
    pub what: Happened,
}

/// What happened. In boxes: a watcher that waits has room for an event in many places.
#[derive(Debug, Clone)]
pub enum Happened {
    /// Replaces everything the client has.
    Snapshot(Box<ConversationRow>),
    /// The conversation itself changed.
    Updated(Box<ConversationRow>),
    /// A message was added or changed.
    Message(Box<MessageRow>),
    /// A message is gone, and all that followed it.
    MessageDeleted(Uuid),
}

impl Conversations {
    /// What happens in a conversation after the entry numbered `after`, or from a snapshot on; `None` when it is not the
    /// viewer's.
    pub async fn watch(
        &self,
        viewer: Viewer,
        conversation_id: Uuid,
        after: Option<i32>,
    ) -> Result<Option<BoxStream<'static, Result<ConversationEvent>>>> {
        if after.is_some_and(|after| after < 0) {
            return Err(AppError::new(
                ErrorCode::BadUserInput,
                "`after` is the sequence of an event, 0 or more.",
            ));
        }
        let watcher = self.watch.watch(conversation_id)?;
        let (db, viewer) = (self.db.clone(), viewer.user_id);
        follow(watcher, LogReader { db, viewer, conversation_id, position: after }).await
    }
}

struct LogReader {
    db: Db,
    viewer: Uuid,
    conversation_id: Uuid,
    /// Sequence of the newest event delivered; `None` asks for a snapshot.
    position: Option<i32>,
}

#[async_trait]
impl Reader for LogReader {
    type Event = ConversationEvent;

    async fn read(&mut self) -> Result<Option<Step<ConversationEvent>>> {
        // Without a position no entry is needed.
        let after = self.position.unwrap_or(i32::MAX);
        let mut conn = self.db.conn().await?;
        let page = repo::read_log(&mut conn, self.viewer, self.conversation_id, after).await?;
        Ok(page.map(|page| self.step(page)))
    }
}

impl LogReader {
    fn step(&mut self, page: LogPage) -> Step<ConversationEvent> {
        let LogPage { conversation, entries } = page;
        let newest = conversation.event_sequence;
        let next = self.position.map(|position| dense(position, entries));
        let events: Vec<_> = match next {
            Some(entries) if self.position == Some(newest) || !entries.is_empty() => {
                entries.into_iter().map(|entry| event(&conversation, entry)).collect()
            }
            _ => vec![ConversationEvent {
                conversation_id: conversation.id,
                sequence: newest,
                what: Happened::Snapshot(Box::new(conversation)),
            }],
        };
        self.position = events.last().map(|event| event.sequence).or(self.position);
        let then = if self.position == Some(newest) { Then::Wait } else { Then::ReadOn };
        Step { events, then }
    }
}

/// The entries that continue a position, as far as there is no hole.
fn dense(mut position: i32, entries: Vec<LogEntry>) -> Vec<LogEntry> {
    let follows = |entry: &LogEntry| {
        let is_next = position.checked_add(1) == Some(entry.sequence);
        position = entry.sequence;
        is_next
    };
    entries.into_iter().take_while(follows).collect()
}

fn event(conversation: &ConversationRow, entry: LogEntry) -> ConversationEvent {
    let what = match entry.kind {
        EntryKind::Conversation => Happened::Updated(Box::new(conversation.clone())),
        EntryKind::Message(message) => Happened::Message(message),
        EntryKind::MessageGone(id) => Happened::MessageDeleted(id),
    };
    ConversationEvent { conversation_id: conversation.id, sequence: entry.sequence, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(sequences: &[i32]) -> Vec<LogEntry> {
        let entry = |sequence: &i32| LogEntry { sequence: *sequence, kind: EntryKind::Conversation };
        sequences.iter().map(entry).collect()
    }

    #[test]
    fn what_continues_a_position_has_no_hole() {
        let lengths = [
            (0, &[1, 2, 3][..], 3),
            (2, &[3], 1),
            (2, &[], 0),
            (2, &[4, 5], 0),
            (2, &[3, 5], 1),
            (i32::MAX, &[], 0),
        ];
        for (position, sequences, length) in lengths {
            assert_eq!(dense(position, entries(sequences)).len(), length, "{position} {sequences:?}");
        }
    }
}
