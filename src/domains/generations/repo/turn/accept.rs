//! The statement that begins a turn.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, result::Error as DieselError, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    domains::credits::{Balance, Quote, Refusal, refusal_of},
    platform::postgres::{idempotency::Intent, moved_on, only, statement::statement},
};

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
fn refusal(error: DieselError, quote: &Quote) -> QueryResult<Acceptance> {
    match moved_on(&error) {
        Some("replica") => Ok(Acceptance::Fenced),
        Some(_) => Ok(Acceptance::MovedOn),
        None => refusal_of(&error, quote.attempt()).map(Acceptance::Refused).ok_or(error),
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
        .or_else(|error| refusal(error, &turn.quote))
}
