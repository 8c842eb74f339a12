//! Changes of the tree of a conversation: another branch, a corrected message, a removed one. Each is one statement that
//! locks the conversation first, like the beginning and the end of a turn, and writes its log. Diesel's typed queries
//! cannot express them.

use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    domains::conversations::model::{ConversationRow, MessageRow},
    platform::postgres::{only, statement::statement},
};

/// Shows the branch through a message, up to the newest that followed it. `None` when the message is not the viewer's.
pub async fn select_branch(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    message_id: Uuid,
) -> QueryResult<Option<ConversationRow>> {
    const SQL: &str = "\
        WITH RECURSIVE p AS (SELECT ?::uuid AS viewer, ?::uuid AS message_id), \
        mine AS (SELECT c.id FROM p JOIN messages m ON m.id = p.message_id \
                JOIN conversations c ON c.id = m.conversation_id AND c.created_by = p.viewer \
                JOIN members b ON b.account_id = c.account_id AND b.user_id = p.viewer FOR UPDATE OF c), \
        sub AS (SELECT p.message_id AS id FROM p, mine \
                UNION ALL SELECT m.id FROM sub, LATERAL (SELECT id FROM messages WHERE parent_id = sub.id OFFSET 0) m), \
        u AS (UPDATE conversations SET head_id = (SELECT id FROM sub ORDER BY id DESC LIMIT 1), \
                     event_sequence = event_sequence + 1, updated_at = loquent_now() \
                FROM mine WHERE conversations.id = mine.id RETURNING conversations.*), \
        v AS (INSERT INTO conversation_events (slot, conversation_id, sequence, kind) \
              SELECT conversation_event_slot(loquent_now()), id, event_sequence, 'conversation' FROM u) \
        SELECT * FROM u";
    statement(SQL)
        .bind::<sql_types::Uuid, _>(viewer)
        .bind::<sql_types::Uuid, _>(message_id)
        .load(conn)
        .await
        .and_then(only)
        .optional()
}

/// Corrects a message that the viewer wrote. `None` when there is none.
pub async fn edit_message(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    message_id: Uuid,
    parts: &serde_json::Value,
) -> QueryResult<Option<MessageRow>> {
    const SQL: &str = "\
        WITH p AS (SELECT ?::uuid AS viewer, ?::uuid AS message_id, ?::jsonb AS parts), \
        mine AS (SELECT c.id FROM p JOIN messages m ON m.id = p.message_id AND m.author_id = p.viewer \
                JOIN conversations c ON c.id = m.conversation_id AND c.created_by = p.viewer \
                JOIN members b ON b.account_id = c.account_id AND b.user_id = p.viewer FOR UPDATE OF c), \
        m AS (UPDATE messages SET parts = p.parts, edited_at = loquent_now() \
                FROM p, mine WHERE messages.id = p.message_id RETURNING messages.*), \
        u AS (UPDATE conversations SET event_sequence = event_sequence + 1, updated_at = loquent_now() \
               WHERE id = (SELECT conversation_id FROM m) RETURNING id, event_sequence), \
        v AS (INSERT INTO conversation_events (slot, conversation_id, sequence, kind, message_id) \
              SELECT conversation_event_slot(loquent_now()), u.id, event_sequence, 'message', m.id FROM u, m) \
        SELECT m.* FROM m, u";
    statement(SQL)
        .bind::<sql_types::Uuid, _>(viewer)
        .bind::<sql_types::Uuid, _>(message_id)
        .bind::<sql_types::Jsonb, _>(parts)
        .load(conn)
        .await
        .and_then(only)
        .optional()
}

/// Removes a message and all that followed it in every branch; returns the conversation that it was in, `None` when that
/// is not the viewer's. When the branch shown was among it, the message before the removed one becomes its last, or else the newest that is
/// left.
pub async fn delete_message(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    message_id: Uuid,
) -> QueryResult<Option<Uuid>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = sql_types::Uuid)]
        conversation_id: Uuid,
    }
    // The messages below go with the first, by their foreign keys.
    const SQL: &str = "\
        WITH RECURSIVE p AS (SELECT ?::uuid AS viewer, ?::uuid AS message_id), \
        mine AS (SELECT c.id, c.head_id, m.parent_id FROM p JOIN messages m ON m.id = p.message_id \
                JOIN conversations c ON c.id = m.conversation_id AND c.created_by = p.viewer \
                JOIN members b ON b.account_id = c.account_id AND b.user_id = p.viewer FOR UPDATE OF c), \
        sub AS (SELECT p.message_id AS id FROM p, mine \
                UNION ALL SELECT m.id FROM sub, LATERAL (SELECT id FROM messages WHERE parent_id = sub.id OFFSET 0) m), \
        t AS (SELECT count(*)::int AS messages, coalesce(bool_or(sub.id = mine.head_id), false) AS was_shown FROM mine, sub), \
        left_over AS (SELECT m.id FROM mine JOIN messages m ON m.conversation_id = mine.id \
                       WHERE (SELECT was_shown FROM t) AND mine.parent_id IS NULL AND NOT EXISTS (SELECT FROM sub WHERE sub.id = m.id) \
                       ORDER BY m.id DESC LIMIT 1), \
        u AS (UPDATE conversations SET message_count = message_count - t.messages, \
                     head_id = CASE WHEN t.was_shown THEN coalesce(mine.parent_id, (SELECT id FROM left_over)) \
                                    ELSE conversations.head_id END, \
                     event_sequence = event_sequence + 2, updated_at = loquent_now() \
                FROM mine, t WHERE conversations.id = mine.id RETURNING conversations.id, event_sequence), \
        v AS (INSERT INTO conversation_events (slot, conversation_id, sequence, kind, message_id) \
              SELECT conversation_event_slot(loquent_now()), u.id, u.event_sequence - 1, 'message_deleted', p.message_id FROM p, u \
              UNION ALL \
              SELECT conversation_event_slot(loquent_now()), u.id, u.event_sequence, 'conversation', NULL FROM u), \
        d AS (DELETE FROM messages USING p, u WHERE messages.id = p.message_id RETURNING 1) \
        SELECT u.id AS conversation_id FROM d, u";
    let row: Option<Row> = statement(SQL)
        .bind::<sql_types::Uuid, _>(viewer)
        .bind::<sql_types::Uuid, _>(message_id)
        .load(conn)
        .await
        .and_then(only)
        .optional()?;
    Ok(row.map(|row| row.conversation_id))
}
