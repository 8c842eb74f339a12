//! The three statements of a turn. Each is one round trip and commits as a whole, so a crash leaves either all of
//! it or nothing; that is why they are written as SQL and touch the tables of several domains.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, result::Error as DieselError, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    domains::{
        conversations::{ConversationRow, RunStatus},
        credits::{Balance, Quote, Refusal, Resolution, refusal_of},
        generations::{
            model::{Failure, FinishReason, GenerationRow},
            prompt::PastTurn,
        },
        subscriptions::SubscriptionRow,
    },
    platform::postgres::{idempotency::Intent, moved_on, only, statement::statement},
};

/// Turns of history that are read at most.
const MAX_HISTORY: i32 = 256;
/// History is read no further once so much of it is, in bytes as stored; no model of today takes as much.
const MAX_HISTORY_BYTES: i32 = 2 << 20;

/// What is known before a turn.
#[derive(Debug)]
pub struct Context {
    /// Request hash and result under the idempotency key.
    pub stored: Option<(Vec<u8>, serde_json::Value)>,
    /// The person may spend in the account of the conversation, or in the one asked for.
    pub is_member: bool,
    /// The conversation, if one was named and is the viewer's.
    pub conversation: Option<ConversationRow>,
    /// The branch up to its head, oldest first.
    pub history: Vec<PastTurn>,
    /// When the account that pays was made, and what it has; `None` when there is no such account.
    pub payer: Option<(DateTime<Utc>, SubscriptionRow)>,
    /// The database's time of it all.
    pub now: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct ContextRow {
    #[diesel(sql_type = sql_types::Nullable<sql_types::Bytea>)]
    request_hash: Option<Vec<u8>>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Jsonb>)]
    result: Option<serde_json::Value>,
    #[diesel(sql_type = sql_types::Bool)]
    is_member: bool,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Jsonb>)]
    conversation: Option<serde_json::Value>,
    #[diesel(sql_type = sql_types::Jsonb)]
    history: serde_json::Value,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Timestamptz>)]
    account_created_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Jsonb>)]
    subscription: Option<serde_json::Value>,
    #[diesel(sql_type = sql_types::Timestamptz)]
    now: DateTime<Utc>,
}

/// Reads what a turn needs: an earlier result, the rights, the conversation and its branch.
pub async fn read_turn(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    conversation_id: Option<Uuid>,
    account_id: Uuid,
    intent: &Intent,
) -> QueryResult<Context> {
    const SQL: &str = "\
        WITH RECURSIVE p AS (SELECT ?::uuid AS viewer, ?::uuid AS conversation_id, ?::uuid AS account_id, \
                                    ?::text AS operation, ?::text AS key, ?::int AS max_history, ?::int AS max_bytes), \
        c AS (SELECT conversations.* FROM conversations JOIN p \
                ON conversations.id = p.conversation_id AND conversations.created_by = p.viewer), \
        branch AS ( \
          SELECT m.id, m.parent_id, m.role, m.parts, 1 AS distance, pg_column_size(m.parts) AS bytes \
            FROM messages m JOIN c ON m.id = c.head_id \
          UNION ALL \
          SELECT m.id, m.parent_id, m.role, m.parts, branch.distance + 1, branch.bytes + pg_column_size(m.parts) \
            FROM branch JOIN messages m ON m.id = branch.parent_id, p \
           WHERE branch.distance < p.max_history AND branch.bytes < p.max_bytes) \
        SELECT k.request_hash, k.result, \
               EXISTS (SELECT FROM members WHERE user_id = p.viewer AND role <> 'reader' \
                          AND account_id = coalesce((SELECT account_id FROM c), p.account_id)) AS is_member, \
               (SELECT to_jsonb(c) FROM c) AS conversation, \
               coalesce((SELECT jsonb_agg(jsonb_build_object('role', role, 'parts', parts) ORDER BY distance DESC) \
                           FROM branch), '[]') AS history, \
               (SELECT created_at FROM accounts WHERE id = coalesce((SELECT account_id FROM c), p.account_id)) AS account_created_at, \
               (SELECT to_jsonb(s) FROM subscriptions s WHERE s.ended_at IS NULL \
                   AND s.account_id = coalesce((SELECT account_id FROM c), p.account_id)) AS subscription, \
               loquent_now() AS now \
          FROM p LEFT JOIN idempotency_keys k \
            ON k.user_id = p.viewer AND k.operation = p.operation AND k.key = p.key AND k.expires_at > loquent_now()";
    let row: ContextRow = statement(SQL)
        .bind::<sql_types::Uuid, _>(viewer)
        .bind::<sql_types::Nullable<sql_types::Uuid>, _>(conversation_id)
        .bind::<sql_types::Uuid, _>(account_id)
        .bind::<sql_types::Text, _>(intent.operation)
        .bind::<sql_types::Text, _>(&intent.key)
        .bind::<sql_types::Int4, _>(MAX_HISTORY)
        .bind::<sql_types::Int4, _>(MAX_HISTORY_BYTES)
        .get_result(conn)
        .await?;
    Ok(Context {
        stored: row.request_hash.zip(row.result),
        is_member: row.is_member,
        conversation: row.conversation.map(read_json).transpose()?,
        history: read_json(row.history)?,
        payer: row.account_created_at.zip(row.subscription.map(read_json).transpose()?),
        now: row.now,
    })
}

/// A turn to accept: every row of it and what it may cost.
#[derive(Debug)]
pub struct NewTurn {
    pub viewer: Uuid,
    pub replica_id: Uuid,
    pub intent: Intent,
    pub result: serde_json::Value,
    pub account_id: Uuid,
    pub conversation_id: Uuid,
    pub is_new_conversation: bool,
    /// Head of the branch as it was read; the turn is refused if it has moved on.
    pub parent_id: Option<Uuid>,
    pub title: Option<String>,
    pub conversation_model: Option<String>,
    pub user_message_id: Uuid,
    pub user_parts: serde_json::Value,
    pub answer_id: Uuid,
    pub generation_id: Uuid,
    pub requested_model: String,
    pub model_key: String,
    pub quote: Quote,
    pub description: String,
}

/// What the database says of an accepted turn.
#[derive(Debug, QueryableByName)]
pub struct Accepted {
    /// Output cap that the balance pays for.
    #[diesel(sql_type = sql_types::BigInt)]
    pub units: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    pub credits_held: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    available: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    held: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    revision: i64,
    #[diesel(sql_type = sql_types::Timestamptz)]
    pub now: DateTime<Utc>,
    /// What `ledger_hold` says of the counters it touched.
    #[diesel(sql_type = sql_types::Jsonb)]
    pub counts: serde_json::Value,
}

impl Accepted {
    pub fn balance(&self) -> Balance {
        Balance { available: self.available, held: self.held, revision: self.revision }
    }
}

/// What became of a turn.
#[derive(Debug)]
pub enum Acceptance {
    Accepted(Accepted),
    /// The conversation or the key was taken meanwhile, or the time of the quote is over: read again.
    MovedOn,
    /// Another process has fenced the one that was to run it.
    Fenced,
    /// A balance or a limit does not cover the least.
    Refused(Box<Refusal>),
}

/// The refusals that the functions of [`accept_turn`] raise.
fn refusal(error: DieselError) -> QueryResult<Acceptance> {
    match moved_on(&error) {
        Some("replica") => Ok(Acceptance::Fenced),
        Some(_) => Ok(Acceptance::MovedOn),
        None => refusal_of(&error).map(Acceptance::Refused).ok_or(error),
    }
}

/// Writes the whole turn or nothing: key, conversation, hold, both messages and the run. A fenced process begins none.
pub async fn accept_turn(conn: &mut AsyncPgConnection, turn: &NewTurn) -> QueryResult<Acceptance> {
    const SQL: &str = "\
        WITH p AS (SELECT ?::uuid AS viewer, ?::uuid AS replica_id, ?::text AS operation, ?::text AS key, \
                          ?::bytea AS request_hash, ?::jsonb AS result, ?::uuid AS account_id, \
                          ?::uuid AS conversation_id, ?::boolean AS is_new, ?::uuid AS parent_id, ?::text AS title, \
                          ?::text AS conversation_model, ?::uuid AS user_message_id, \
                          ?::jsonb AS user_parts, ?::uuid AS answer_id, ?::uuid AS generation_id, \
                          ?::text AS requested_model, ?::text AS model_key, ?::jsonb AS terms, ?::bigint AS want, \
                          ?::bigint AS min, ?::jsonb AS lines, ?::timestamptz AS until, ?::text AS description, \
                          loquent_now() AS now), \
        k AS (INSERT INTO idempotency_keys AS i (user_id, operation, key, request_hash, result) \
              SELECT viewer, operation, key, request_hash, result FROM p \
              ON CONFLICT (user_id, operation, key) DO UPDATE \
                SET request_hash = excluded.request_hash, result = excluded.result, created_at = excluded.created_at, \
                    expires_at = excluded.expires_at WHERE i.expires_at <= loquent_now() \
              RETURNING 1), \
        ours AS (SELECT count(*) AS n FROM k), \
        created AS (INSERT INTO conversations (id, account_id, created_by, title, model_key, head_id, \
                                               message_count, created_at, updated_at) \
              SELECT conversation_id, account_id, viewer, title, conversation_model, answer_id, 2, now, now \
                FROM p, ours WHERE is_new AND ours.n = 1 RETURNING id), \
        extended AS (UPDATE conversations c SET head_id = p.answer_id, message_count = message_count + 2, \
                                                title = coalesce(c.title, p.title), updated_at = p.now \
                FROM p, ours WHERE NOT p.is_new AND ours.n = 1 AND c.id = p.conversation_id \
                 AND c.created_by = p.viewer AND c.account_id = p.account_id \
                 AND c.head_id IS NOT DISTINCT FROM p.parent_id RETURNING c.id), \
        c AS (SELECT id FROM created UNION ALL SELECT id FROM extended), \
        r AS (SELECT require_moved(EXISTS (SELECT FROM replicas r JOIN p ON r.id = p.replica_id \
                                            WHERE r.fenced_at IS NULL), 'replica') \
                 AND require_moved((SELECT n FROM ours) = 1, 'key') \
                 AND require_moved((SELECT count(*) FROM c) = 1, 'conversation') AS is_ours), \
        h AS (SELECT h.* FROM p, r, LATERAL ledger_hold(CASE WHEN r.is_ours THEN p.generation_id END, p.account_id, \
                'generation', p.want, p.min, p.lines, p.viewer, p.description, p.until) h), \
        m AS (INSERT INTO messages (id, account_id, conversation_id, parent_id, role, author_id, status, parts, created_at) \
              SELECT user_message_id, account_id, c.id, parent_id, 'user', viewer, 'succeeded', user_parts, now \
                FROM p, c, h \
              UNION ALL \
              SELECT answer_id, account_id, c.id, user_message_id, 'assistant', NULL, 'queued', '[]', now FROM p, c, h), \
        g AS (INSERT INTO generations (id, account_id, user_id, conversation_id, message_id, replica_id, requested_model, \
                                       model_key, terms, is_output_capped, credits_held, created_at) \
              SELECT generation_id, account_id, viewer, c.id, answer_id, replica_id, requested_model, model_key, terms, \
                     h.units < p.want, h.credits_held, now FROM p, c, h) \
        SELECT h.units, h.credits_held, h.available, h.held, h.revision, p.now, h.quotas AS counts FROM p, h";
    statement(SQL)
        .bind::<sql_types::Uuid, _>(turn.viewer)
        .bind::<sql_types::Uuid, _>(turn.replica_id)
        .bind::<sql_types::Text, _>(turn.intent.operation)
        .bind::<sql_types::Text, _>(&turn.intent.key)
        .bind::<sql_types::Bytea, _>(&turn.intent.request_hash)
        .bind::<sql_types::Jsonb, _>(&turn.result)
        .bind::<sql_types::Uuid, _>(turn.account_id)
        .bind::<sql_types::Uuid, _>(turn.conversation_id)
        .bind::<sql_types::Bool, _>(turn.is_new_conversation)
        .bind::<sql_types::Nullable<sql_types::Uuid>, _>(turn.parent_id)
        .bind::<sql_types::Nullable<sql_types::Text>, _>(&turn.title)
        .bind::<sql_types::Nullable<sql_types::Text>, _>(&turn.conversation_model)
        .bind::<sql_types::Uuid, _>(turn.user_message_id)
        .bind::<sql_types::Jsonb, _>(&turn.user_parts)
        .bind::<sql_types::Uuid, _>(turn.answer_id)
        .bind::<sql_types::Uuid, _>(turn.generation_id)
        .bind::<sql_types::Text, _>(&turn.requested_model)
        .bind::<sql_types::Text, _>(&turn.model_key)
        .bind::<sql_types::Jsonb, _>(serde_json::json!(turn.quote.terms))
        .bind::<sql_types::BigInt, _>(i64::from(turn.quote.wanted))
        .bind::<sql_types::BigInt, _>(i64::from(turn.quote.min))
        .bind::<sql_types::Jsonb, _>(turn.quote.lines())
        .bind::<sql_types::Timestamptz, _>(turn.quote.until())
        .bind::<sql_types::Text, _>(&turn.description)
        .load(conn)
        .await
        .and_then(only)
        .map(Acceptance::Accepted)
        .or_else(refusal)
}

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
    #[diesel(sql_type = sql_types::Jsonb)]
    counts: serde_json::Value,
}

/// A run that has just ended.
#[derive(Debug)]
pub struct Settled {
    pub generation: GenerationRow,
    pub balance: Balance,
    /// What `ledger_settle` says of the counters it touched.
    pub counts: serde_json::Value,
}

/// Ends a run that `owner` has: status and usage, text of the answer, and the settlement, together. `None` when it had
/// ended before or belongs to somebody else, or when `writer`, the process that asks, is fenced. The message is locked
/// before the run, as by the removal of a conversation, so that the two never wait for each other.
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
        l AS (SELECT m.id FROM p JOIN generations g ON g.id = p.id JOIN messages m ON m.id = g.message_id FOR UPDATE OF m), \
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
                FROM p, g WHERE m.id = g.message_id RETURNING 1), \
        s AS (SELECT s.* FROM p, g, LATERAL ledger_settle(g.id, p.state, p.actual, g.user_id, p.description) s) \
        SELECT to_jsonb(g) AS generation, s.available, s.held, s.revision, s.quotas AS counts \
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
        Ok(Settled { generation: read_json(row.generation)?, balance, counts: row.counts })
    };
    row.map(finished).transpose()
}

fn read_json<T: for<'de> Deserialize<'de>>(value: serde_json::Value) -> QueryResult<T> {
    T::deserialize(value).map_err(|error| diesel::result::Error::DeserializationError(error.into()))
}
