//! The end of a run.

use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::read_json;
use crate::{
    domains::{
        conversations::RunStatus,
        credits::{Balance, Resolution},
        generations::model::{Failure, FinishReason, GenerationRow},
    },
    platform::postgres::{only, statement::statement},
};

/// How a run ends.
#[derive(Debug, Clone)]
pub struct Ending {
    pub status: RunStatus,
    pub finish_reason: FinishReason,
    /// What the people who wait are told.
    pub failure: Option<Failure>,
    pub parts: serde_json::Value,
    /// Number of the terminal event.
    pub sequence: i32,
    pub is_output_capped: bool,
    pub resolution: Resolution,
    pub description: String,
}

#[derive(QueryableByName)]
struct FinishedRow {
    #[diesel(sql_type = sql_types::Jsonb)]
    generation: serde_json::Value,
    #[diesel(sql_type = sql_types::BigInt)]
    available: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    held: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    revision: i64,
}

/// A run that has just ended.
#[derive(Debug)]
pub struct Settled {
    pub generation: GenerationRow,
    pub balance: Balance,
}

/// Ends a run that `owner` has: status and usage, text of the answer, and the settlement, together. `None` when it had
/// ended before or belongs to somebody else, or when `writer`, the process that asks, is fenced. The conversation is locked
/// first, then the message, then the run, as by whoever removes one of them, so that nobody waits in a circle. Rows are
/// found by subqueries, which stay looks into an index whatever the planner expects of a table.
pub async fn finish_turn(
    conn: &mut AsyncPgConnection,
    writer: Uuid,
    owner: Uuid,
    ending: &Ending,
) -> QueryResult<Option<Settled>> {
    const SQL: &str = "\
        WITH p AS (SELECT ?::uuid AS id, ?::uuid AS writer, ?::uuid AS owner, ?::text AS status, ?::text AS finish_reason, \
                          ?::text AS error_code, ?::text AS error_message, ?::jsonb AS parts, ?::int AS sequence, \
                          ?::boolean AS is_retryable, ?::int AS retry_after, ?::boolean AS is_capped, ?::int AS input_tokens, \
                          ?::int AS cached_input_tokens, ?::int AS cache_write_tokens, \
                          ?::int AS output_tokens, ?::int AS reasoning_tokens, \
                          ?::text AS usage_source, ?::bigint AS charged, ?::text AS state, ?::jsonb AS actual, \
                          ?::text AS description), \
        w AS (SELECT m.id AS message_id, m.conversation_id FROM p JOIN generations g ON g.id = p.id JOIN messages m ON m.id = g.message_id), \
        lc AS (SELECT id FROM conversations WHERE id = (SELECT conversation_id FROM w) FOR UPDATE), \
        l AS (SELECT id FROM messages WHERE id = (SELECT w.message_id FROM w LEFT JOIN lc ON true) FOR UPDATE), \
        g AS (UPDATE generations g SET status = p.status, finish_reason = p.finish_reason, error_code = p.error_code, \
                     error_message = p.error_message, is_retryable = p.is_retryable, retry_after_seconds = p.retry_after, is_output_capped = p.is_capped, \
                     input_tokens = p.input_tokens, cached_input_tokens = p.cached_input_tokens, \
                     cache_write_tokens = p.cache_write_tokens, \
                     output_tokens = p.output_tokens, reasoning_tokens = p.reasoning_tokens, \
                     usage_source = p.usage_source, credits_charged = p.charged, finished_at = loquent_now(), \
                     revision = g.revision + 1 \
                FROM p LEFT JOIN l ON true WHERE g.id = p.id AND g.replica_id = p.owner AND g.finished_at IS NULL \
                 AND EXISTS (SELECT FROM replicas r WHERE r.id = p.writer AND r.fenced_at IS NULL) RETURNING g.*), \
        m AS (UPDATE messages m SET status = p.status, parts = p.parts, stream_sequence = p.sequence \
                FROM p WHERE m.id = (SELECT message_id FROM g) RETURNING m.id, m.conversation_id), \
        c AS (UPDATE conversations SET event_sequence = event_sequence + 1 WHERE id = (SELECT conversation_id FROM m) \
              RETURNING id, event_sequence), \
        v AS (INSERT INTO conversation_events (slot, conversation_id, sequence, kind, message_id) \
              SELECT conversation_event_slot(loquent_now()), c.id, c.event_sequence, 'message', m.id FROM c, m), \
        s AS (SELECT s.* FROM p, g, LATERAL ledger_settle(g.id, p.state, p.actual, g.user_id, p.description) s) \
        SELECT to_jsonb(g) AS generation, s.available, s.held, s.revision \
          FROM g LEFT JOIN s ON true \
         WHERE require_moved((SELECT count(*) FROM s) = 1, 'hold')";
    let usage = ending.resolution.kind.usage();
    let count = |tokens: u32| i32::try_from(tokens).unwrap_or(i32::MAX);
    let failure = ending.failure.as_ref();
    let row: Option<FinishedRow> = statement(SQL)
        .bind::<sql_types::Uuid, _>(ending.resolution.hold_id)
        .bind::<sql_types::Uuid, _>(writer)
        .bind::<sql_types::Uuid, _>(owner)
        .bind::<sql_types::Text, _>(ending.status.as_str())
        .bind::<sql_types::Text, _>(ending.finish_reason.as_str())
        .bind::<sql_types::Nullable<sql_types::Text>, _>(failure.map(|failure| failure.code.as_str()))
        .bind::<sql_types::Nullable<sql_types::Text>, _>(failure.map(|failure| failure.message.as_str()))
        .bind::<sql_types::Jsonb, _>(&ending.parts)
        .bind::<sql_types::Int4, _>(ending.sequence)
        .bind::<sql_types::Nullable<sql_types::Bool>, _>(failure.map(|failure| failure.is_retryable))
        .bind::<sql_types::Nullable<sql_types::Int4>, _>(failure.and_then(Failure::retry_after_seconds))
        .bind::<sql_types::Bool, _>(ending.is_output_capped)
        .bind::<sql_types::Nullable<sql_types::Int4>, _>(usage.map(|usage| count(usage.input)))
        .bind::<sql_types::Nullable<sql_types::Int4>, _>(usage.map(|usage| count(usage.cached_input)))
        .bind::<sql_types::Nullable<sql_types::Int4>, _>(usage.map(|usage| count(usage.cache_write)))
        .bind::<sql_types::Nullable<sql_types::Int4>, _>(usage.map(|usage| count(usage.output)))
        .bind::<sql_types::Nullable<sql_types::Int4>, _>(usage.map(|usage| count(usage.reasoning)))
        .bind::<sql_types::Nullable<sql_types::Text>, _>(usage.map(|usage| usage.source.as_str()))
        .bind::<sql_types::BigInt, _>(ending.resolution.credits_charged)
        .bind::<sql_types::Text, _>(ending.resolution.kind.as_str())
        .bind::<sql_types::Jsonb, _>(ending.resolution.kind.actual())
        .bind::<sql_types::Text, _>(&ending.description)
        .load(conn)
        .await
        .and_then(only)
        .optional()?;
    let finished = |row: FinishedRow| {
        let balance = Balance { available: row.available, held: row.held, revision: row.revision };
        Ok(Settled { generation: read_json(row.generation)?, balance })
    };
    row.map(finished).transpose()
}
