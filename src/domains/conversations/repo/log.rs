//! Reading the log of a conversation: the conversation, the entries after one, and the messages they are about, all as of
//! one instant, which is why it is one statement and written as SQL. And emptying its slots.

use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    domains::conversations::model::{ConversationRow, MessageRow},
    platform::postgres::{
        listen::Channel,
        revisions::{Revision, Watched},
        statement::statement,
    },
    schema::conversations,
};

/// Entries read at a time, and how much stored text of their messages; more only when one message alone has more.
const PAGE: i64 = 32;
const PAGE_BYTES: i64 = 256 << 10;

/// A conversation and a part of its log.
#[derive(Debug)]
pub struct LogPage {
    /// Its `event_sequence` is that of the newest entry.
    pub conversation: ConversationRow,
    /// The entries that are kept after the one asked for, oldest first, as many as a page takes.
    pub entries: Vec<LogEntry>,
}

/// What happened; how things are since then is read with it.
#[derive(Debug)]
pub struct LogEntry {
    pub sequence: i32,
    pub kind: EntryKind,
}

/// What an entry is about.
#[derive(Debug)]
pub enum EntryKind {
    Conversation,
    /// The message as it is now. In a box: it is much larger than the others.
    Message(Box<MessageRow>),
    /// A message that is gone: the entry says so, or says that it changed, and it was removed afterwards.
    MessageGone(Uuid),
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = sql_types::Jsonb)]
    conversation: serde_json::Value,
    #[diesel(sql_type = sql_types::Jsonb)]
    entries: serde_json::Value,
}

/// Sequence, id of the message it is about, and that message if it is there.
type Entry = (i32, Option<Uuid>, Option<Box<MessageRow>>);

/// The conversation, if it is the viewer's, with what follows `after` in its log.
pub async fn read_log(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    conversation_id: Uuid,
    after: i32,
) -> QueryResult<Option<LogPage>> {
    const SQL: &str = "\
        WITH p AS (SELECT ?::uuid AS viewer, ?::uuid AS conversation_id, ?::int AS after, ?::bigint AS most, ?::bigint AS bytes) \
        SELECT to_jsonb(c) AS conversation, \
               coalesce((SELECT jsonb_agg(jsonb_build_array(e.sequence, e.message_id, e.message) ORDER BY e.sequence) \
                  FROM (SELECT e.sequence, e.message_id, CASE WHEN m.id IS NOT NULL THEN to_jsonb(m) END AS message, \
                               sum(pg_column_size(m.parts)) OVER (ORDER BY e.sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before \
                          FROM (SELECT * FROM conversation_events e \
                                 WHERE e.conversation_id = p.conversation_id AND e.sequence > p.after \
                                 ORDER BY e.sequence LIMIT (SELECT most FROM p)) e \
                          LEFT JOIN messages m ON m.id = e.message_id AND e.kind = 'message') e \
                 WHERE coalesce(e.before, 0) < p.bytes), '[]') AS entries \
          FROM p JOIN conversations c ON c.id = p.conversation_id AND c.created_by = p.viewer \
          JOIN members b ON b.account_id = c.account_id AND b.user_id = p.viewer";
    let row: Option<Row> = statement(SQL)
        .bind::<sql_types::Uuid, _>(viewer)
        .bind::<sql_types::Uuid, _>(conversation_id)
        .bind::<sql_types::Int4, _>(after)
        .bind::<sql_types::BigInt, _>(PAGE)
        .bind::<sql_types::BigInt, _>(PAGE_BYTES)
        .get_result(conn)
        .await
        .optional()?;
    row.map(page).transpose()
}

fn page(row: Row) -> QueryResult<LogPage> {
    let read = |error: serde_json::Error| diesel::result::Error::DeserializationError(error.into());
    let entry = |(sequence, id, message): Entry| {
        let kind = match (id, message) {
            (_, Some(message)) => EntryKind::Message(message),
            (Some(id), None) => EntryKind::MessageGone(id),
            (None, None) => EntryKind::Conversation,
        };
        LogEntry { sequence, kind }
    };
    let entries = Vec::<Entry>::deserialize(row.entries).map_err(read)?;
    Ok(LogPage {
        conversation: ConversationRow::deserialize(row.conversation).map_err(read)?,
        entries: entries.into_iter().map(entry).collect(),
    })
}

/// Conversations as things that are watched: how long their logs are.
pub struct WatchedConversations;

impl Watched for WatchedConversations {
    const NAME: &'static str = "conversations";
    const CHANNEL: Option<Channel> = Some(Channel::Conversations);

    async fn list_revisions_unscoped(
        conn: &mut AsyncPgConnection,
        ids: &[Uuid],
    ) -> QueryResult<Vec<Revision>> {
        let rows: Vec<(Uuid, i32)> = conversations::table
            .filter(conversations::id.eq_any(ids))
            .select((conversations::id, conversations::event_sequence))
            .load(conn)
            .await?;
        let revision =
            |(id, sequence): (Uuid, i32)| Revision { id, revision: sequence.into(), is_due: false };
        Ok(rows.into_iter().map(revision).collect())
    }
}

/// Empties the slot of the log that comes next. A slot lasts six hours, so this is done at least once in each. It waits for
/// the table for a fifth of a second at most, and fails then.
pub async fn prune_events(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    statement("SELECT prune_conversation_events()").execute(conn).await.map(drop)
}
