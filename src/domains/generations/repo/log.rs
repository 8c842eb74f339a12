//! Statements of the stream log. A flush is one statement: it appends, renews the lease, notices a fence and collects
//! the wishes to stop, all in one round trip and one commit.

use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    domains::{
        conversations::MessageRow,
        generations::model::{Delta, GenerationRow, PartKind},
    },
    platform::postgres::{only, statement::statement},
};

/// Events of many messages, as parallel columns.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub message_ids: Vec<Uuid>,
    pub sequences: Vec<i32>,
    pub part_indexes: Vec<i16>,
    pub kinds: Vec<&'static str>,
    pub texts: Vec<String>,
}

/// What a flush brought back.
#[derive(Debug, QueryableByName)]
pub struct Flushed {
    /// False when another process fenced this one: nothing was written.
    #[diesel(sql_type = sql_types::Bool)]
    pub is_alive: bool,
    /// Own runs that shall stop: somebody asked, or their message is gone.
    #[diesel(sql_type = sql_types::Array<sql_types::Uuid>)]
    pub stops: Vec<Uuid>,
    /// Runs that have just begun to speak.
    #[diesel(sql_type = sql_types::Array<sql_types::Uuid>)]
    pub begun: Vec<Uuid>,
}

/// Appends a batch, renews the lease, and notes which runs have just begun to speak. Repeating it after an unknown outcome
/// adds nothing twice if `is_repeat` says so.
pub async fn flush(
    conn: &mut AsyncPgConnection,
    replica_id: Uuid,
    lease_ms: i64,
    batch: &Batch,
    is_repeat: bool,
) -> QueryResult<Flushed> {
    const SQL: &str = "\
        WITH p AS (SELECT ?::uuid AS replica_id, ?::bigint AS lease_ms, ?::boolean AS is_repeat), \
        me AS (UPDATE replicas SET lease_until = loquent_now() + p.lease_ms * interval '1 millisecond', \
                      steady_since = CASE WHEN lease_until < loquent_now() THEN loquent_now() ELSE steady_since END \
                 FROM p WHERE replicas.id = p.replica_id AND fenced_at IS NULL RETURNING replicas.id), \
        e AS (SELECT * FROM unnest(?::uuid[], ?::int[], ?::smallint[], ?::text[], ?::text[]) \
                AS e (message_id, sequence, part_index, kind, text)), \
        appended AS ( \
          INSERT INTO stream_events (slot, message_id, sequence, part_index, kind, text) \
          SELECT r.slot, e.message_id, e.sequence, e.part_index, e.kind, e.text FROM p, me, stream_rotations r, e \
           WHERE NOT p.is_repeat OR NOT EXISTS (SELECT FROM stream_events s \
                                                 WHERE s.message_id = e.message_id AND s.sequence = e.sequence)), \
        begun AS ( \
          UPDATE generations g SET first_output_at = loquent_now(), revision = g.revision + 1 \
            FROM me, e WHERE e.sequence = 1 AND g.message_id = e.message_id AND g.finished_at IS NULL \
             AND g.first_output_at IS NULL RETURNING g.id) \
        SELECT EXISTS (SELECT FROM me) AS is_alive, \
               ARRAY(SELECT g.id FROM generations g, p WHERE g.replica_id = p.replica_id AND g.finished_at IS NULL \
                        AND (g.stop_requested_at IS NOT NULL \
                             OR g.message_id IS NULL AND g.purpose = 'answer')) AS stops, \
               ARRAY(SELECT id FROM begun) AS begun";
    statement(SQL)
        .bind::<sql_types::Uuid, _>(replica_id)
        .bind::<sql_types::BigInt, _>(lease_ms)
        .bind::<sql_types::Bool, _>(is_repeat)
        .bind::<sql_types::Array<sql_types::Uuid>, _>(&batch.message_ids)
        .bind::<sql_types::Array<sql_types::Int4>, _>(&batch.sequences)
        .bind::<sql_types::Array<sql_types::SmallInt>, _>(&batch.part_indexes)
        .bind::<sql_types::Array<sql_types::Text>, _>(&batch.kinds)
        .bind::<sql_types::Array<sql_types::Text>, _>(&batch.texts)
        .load(conn)
        .await
        .and_then(only)
}

/// A message with its run, its log after a point, and the balance: all that a watcher needs, in one round trip.
#[derive(Debug)]
pub struct Watched {
    pub message: MessageRow,
    pub generation: Option<GenerationRow>,
    pub balance: crate::domains::credits::Balance,
    pub events: Vec<Delta>,
    /// Number of the newest event in the log, 0 when it has none.
    pub newest: i32,
}

#[derive(QueryableByName)]
struct WatchedRow {
    #[diesel(sql_type = sql_types::Jsonb)]
    message: serde_json::Value,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Jsonb>)]
    generation: Option<serde_json::Value>,
    #[diesel(sql_type = sql_types::BigInt)]
    available: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    held: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    revision: i64,
    #[diesel(sql_type = sql_types::Jsonb)]
    events: serde_json::Value,
    #[diesel(sql_type = sql_types::Int4)]
    newest: i32,
}

/// The message if the viewer may read it, with its events after `after`: one of a conversation that the viewer began, or
/// a one-shot answer of the viewer's own. `OFFSET 0` keeps it a look into the index.
pub async fn find_watched(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    message_id: Uuid,
    after: i32,
) -> QueryResult<Option<Watched>> {
    const SQL: &str = "\
        WITH p AS (SELECT ?::uuid AS viewer, ?::uuid AS message_id, ?::int AS after) \
        SELECT to_jsonb(m) AS message, to_jsonb(g) AS generation, coalesce(w.available, 0) AS available, \
               coalesce(w.held, 0) AS held, coalesce(w.revision, 0) AS revision, \
               coalesce((SELECT jsonb_agg(jsonb_build_array(e.sequence, e.part_index, e.kind, e.text) ORDER BY e.sequence) \
                           FROM stream_events e WHERE e.message_id = m.id AND e.sequence > p.after), '[]') AS events, \
               coalesce((SELECT max(e.sequence) FROM stream_events e WHERE e.message_id = m.id), 0) AS newest \
          FROM p CROSS JOIN LATERAL (SELECT * FROM messages WHERE id = p.message_id OFFSET 0) m \
          LEFT JOIN conversations c ON c.id = m.conversation_id \
          JOIN members b ON b.account_id = m.account_id AND b.user_id = p.viewer \
          LEFT JOIN generations g ON g.message_id = m.id \
          LEFT JOIN wallets w ON w.account_id = m.account_id AND w.meter = 'credits' \
         WHERE coalesce(c.created_by, m.owner_id) = p.viewer";
    let row: Option<WatchedRow> = statement(SQL)
        .bind::<sql_types::Uuid, _>(viewer)
        .bind::<sql_types::Uuid, _>(message_id)
        .bind::<sql_types::Int4, _>(after)
        .get_result(conn)
        .await
        .optional()?;
    row.map(watched).transpose()
}

/// News of a message: what its log has after a point.
#[derive(Debug)]
pub struct News {
    pub message_id: Uuid,
    /// Its run has ended, or it is gone; nothing is added to its log any more.
    pub is_over: bool,
    pub events: Vec<Delta>,
}

#[derive(QueryableByName)]
struct NewsRow {
    #[diesel(sql_type = sql_types::Uuid)]
    message_id: Uuid,
    #[diesel(sql_type = sql_types::Bool)]
    is_over: bool,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Int4>)]
    sequence: Option<i32>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::SmallInt>)]
    part_index: Option<i16>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    kind: Option<String>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    text: Option<String>,
}

/// The news of many messages, each after the event of the same place in `known`: at most `events` of each, and of all
/// together at most `bytes` and one event more, the next of each before the second next of any. Messages without news are
/// left out.
pub async fn list_news_unscoped(
    conn: &mut AsyncPgConnection,
    message_ids: &[Uuid],
    known: &[i32],
    events: i64,
    bytes: i64,
) -> QueryResult<Vec<News>> {
    const SQL: &str = "\
        WITH p AS (SELECT ?::bigint AS events, ?::bigint AS bytes), \
        f AS (SELECT * FROM unnest(?::uuid[], ?::int[]) AS f (message_id, known)), \
        news AS ( \
          SELECT s.*, sum(octet_length(s.text)) OVER (ORDER BY s.sequence - f.known, f.message_id) \
                      - octet_length(s.text) AS before \
            FROM p, f CROSS JOIN LATERAL ( \
              SELECT e.message_id, e.sequence, e.part_index, e.kind, e.text FROM stream_events e \
               WHERE e.message_id = f.message_id AND e.sequence > f.known ORDER BY e.sequence \
               LIMIT (SELECT events FROM p)) s), \
        looked AS ( \
          SELECT f.message_id, NOT EXISTS (SELECT FROM generations g WHERE g.message_id = f.message_id \
                                              AND g.finished_at IS NULL) AS is_over FROM f) \
        SELECT l.message_id, l.is_over, n.sequence, n.part_index, n.kind, n.text \
          FROM p CROSS JOIN looked l LEFT JOIN news n ON n.message_id = l.message_id AND n.before < p.bytes \
         WHERE l.is_over OR n.sequence IS NOT NULL ORDER BY l.message_id, n.sequence";
    let rows: Vec<NewsRow> = statement(SQL)
        .bind::<sql_types::BigInt, _>(events)
        .bind::<sql_types::BigInt, _>(bytes)
        .bind::<sql_types::Array<sql_types::Uuid>, _>(message_ids)
        .bind::<sql_types::Array<sql_types::Int4>, _>(known)
        .load(conn)
        .await?;
    let mut news: Vec<News> = Vec::new();
    for row in rows {
        if news.last().is_none_or(|last| last.message_id != row.message_id) {
            news.push(News { message_id: row.message_id, is_over: row.is_over, events: Vec::new() });
        }
        if let (
            Some(last),
            NewsRow {
                sequence: Some(sequence),
                part_index: Some(part_index),
                kind: Some(kind),
                text: Some(text),
                ..
            },
        ) = (news.last_mut(), row)
        {
            last.events.push(Delta { sequence, part_index, kind: PartKind::parse(&kind), text });
        }
    }
    Ok(news)
}

/// Those of the messages whose runs have ended, without their events. Who may read them was asked before.
pub async fn list_ends_unscoped(
    conn: &mut AsyncPgConnection,
    message_ids: &[Uuid],
) -> QueryResult<Vec<Watched>> {
    const SQL: &str = "\
        SELECT to_jsonb(m) AS message, to_jsonb(g) AS generation, coalesce(w.available, 0) AS available, \
               coalesce(w.held, 0) AS held, coalesce(w.revision, 0) AS revision, '[]'::jsonb AS events, 0 AS newest \
          FROM generations g JOIN messages m ON m.id = g.message_id \
          LEFT JOIN wallets w ON w.account_id = m.account_id AND w.meter = 'credits' \
         WHERE g.message_id = ANY (?) AND g.finished_at IS NOT NULL";
    let rows: Vec<WatchedRow> =
        statement(SQL).bind::<sql_types::Array<sql_types::Uuid>, _>(message_ids).load(conn).await?;
    rows.into_iter().map(watched).collect()
}

fn watched(row: WatchedRow) -> QueryResult<Watched> {
    type Event = (i32, i16, String, String);
    let read = |error: serde_json::Error| diesel::result::Error::DeserializationError(error.into());
    let events = Vec::<Event>::deserialize(row.events).map_err(read)?;
    let delta = |(sequence, part_index, kind, text): Event| Delta {
        sequence,
        part_index,
        kind: PartKind::parse(&kind),
        text,
    };
    Ok(Watched {
        message: MessageRow::deserialize(row.message).map_err(read)?,
        generation: row.generation.map(GenerationRow::deserialize).transpose().map_err(read)?,
        balance: crate::domains::credits::Balance {
            available: row.available,
            held: row.held,
            revision: row.revision,
        },
        events: events.into_iter().map(delta).collect(),
        newest: row.newest,
    })
}

/// Turns the ring of the log if it is due; true when this call did.
pub async fn rotate(conn: &mut AsyncPgConnection, every_seconds: i64) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = sql_types::Bool)]
        is_turned: bool,
    }
    let row: Row = statement("SELECT rotate_stream_log(? * interval '1 second') AS is_turned")
        .bind::<sql_types::BigInt, _>(every_seconds)
        .get_result(conn)
        .await?;
    Ok(row.is_turned)
}
