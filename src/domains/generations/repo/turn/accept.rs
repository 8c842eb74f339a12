//! The beginning of a turn.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, result::Error as DieselError, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    domains::{
        conversations::Place,
        credits::{Balance, Quote, Refusal, refusal_of},
    },
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
    /// `None` of a one-shot answer.
    pub conversation_id: Option<Uuid>,
    pub is_new_conversation: bool,
    /// The message that the turn follows.
    pub parent_id: Option<Uuid>,
    /// That message was the last of the branch shown; the turn is refused if the conversation has moved on.
    pub is_at_head: bool,
    pub title: Option<String>,
    pub conversation_model: Option<String>,
    /// The message of the person; `None` when one that is there is answered again.
    pub user_message: Option<NewUserMessage>,
    pub answer_id: Uuid,
    pub answer_place: Place,
    pub generation_id: Uuid,
    pub requested_model: String,
    pub model_key: String,
    /// Size of the prompt before its provider counts it.
    pub estimated_input_tokens: u32,
    pub quote: Quote,
    pub description: String,
}

/// The message of a person in a turn.
#[derive(Debug)]
pub struct NewUserMessage {
    pub id: Uuid,
    pub place: Place,
    pub parts: serde_json::Value,
}

/// Columns of the new messages of a turn, oldest first.
#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    parents: Vec<Option<Uuid>>,
    depths: Vec<i32>,
    jumps: Vec<Option<Uuid>>,
    jump_depths: Vec<i32>,
    roles: Vec<&'static str>,
    authors: Vec<Option<Uuid>>,
    statuses: Vec<&'static str>,
    parts: Vec<serde_json::Value>,
}

impl Columns {
    fn of(turn: &NewTurn) -> Self {
        let mut columns = Self::default();
        if let Some(message) = &turn.user_message {
            columns.add(
                message.id,
                message.place,
                ("user", Some(turn.viewer), "succeeded"),
                message.parts.clone(),
            );
        }
        columns.add(turn.answer_id, turn.answer_place, ("assistant", None, "queued"), serde_json::json!([]));
        columns
    }

    fn add(
        &mut self,
        id: Uuid,
        place: Place,
        (role, author, status): (&'static str, Option<Uuid>, &'static str),
        parts: serde_json::Value,
    ) {
        self.ids.push(id);
        self.parents.push(place.parent_id);
        self.depths.push(place.depth);
        self.jumps.push(place.jump_id);
        self.jump_depths.push(place.jump_depth);
        self.roles.push(role);
        self.authors.push(author);
        self.statuses.push(status);
        self.parts.push(parts);
    }
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
    /// Newest entry in the log of the conversation, if there is one.
    #[diesel(sql_type = sql_types::Int4)]
    pub event_sequence: i32,
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

/// The refusals that the functions of a beginning raise.
pub(super) fn refusal(error: DieselError, quote: &Quote) -> QueryResult<Acceptance> {
    match moved_on(&error) {
        Some("replica") => Ok(Acceptance::Fenced),
        Some(_) => Ok(Acceptance::MovedOn),
        None => refusal_of(&error, quote.demand()).map(Acceptance::Refused).ok_or(error),
    }
}

/// Writes the whole turn or nothing: key, conversation and its log, hold, messages and the run. A one-shot answer is in no
/// conversation: `c` is then one row without an id. A fenced process begins none.
pub async fn accept_turn(conn: &mut AsyncPgConnection, turn: &NewTurn) -> QueryResult<Acceptance> {
    const SQL: &str = "\
        WITH p AS (SELECT ?::uuid AS viewer, ?::uuid AS replica_id, ?::text AS operation, ?::text AS key, \
                          ?::bytea AS request_hash, ?::jsonb AS result, ?::uuid AS account_id, \
                          ?::uuid AS conversation_id, ?::boolean AS is_new, ?::uuid AS parent_id, ?::boolean AS is_at_head, \
                          ?::text AS title, ?::text AS conversation_model, ?::uuid AS answer_id, ?::uuid AS generation_id, \
                          ?::text AS requested_model, ?::text AS model_key, ?::int AS estimated_input_tokens, ?::jsonb AS terms, ?::bigint AS want, \
                          ?::bigint AS min, ?::jsonb AS lines, ?::timestamptz AS until, ?::text AS description, \
                          loquent_now() AS now), \
        n AS (SELECT * FROM unnest(?::uuid[], ?::uuid[], ?::int[], ?::uuid[], ?::int[], ?::text[], ?::uuid[], ?::text[], ?::jsonb[]) \
                WITH ORDINALITY AS n (id, parent_id, depth, jump_id, jump_depth, role, author_id, status, parts, place)), \
        k AS (INSERT INTO idempotency_keys AS i (user_id, operation, key, request_hash, result) \
              SELECT viewer, operation, key, request_hash, result FROM p \
              ON CONFLICT (user_id, operation, key) DO UPDATE \
                SET request_hash = excluded.request_hash, result = excluded.result, created_at = excluded.created_at, \
                    expires_at = excluded.expires_at WHERE i.expires_at <= loquent_now() \
              RETURNING 1), \
        ours AS (SELECT (SELECT count(*) FROM k) AS n, (SELECT count(*)::int FROM n) AS messages), \
        created AS (INSERT INTO conversations (id, account_id, created_by, title, model_key, head_id, \
                                               message_count, event_sequence, created_at, updated_at) \
              SELECT conversation_id, account_id, viewer, title, conversation_model, answer_id, messages, messages + 1, now, now \
                FROM p, ours WHERE is_new AND ours.n = 1 RETURNING id, event_sequence), \
        extended AS (UPDATE conversations c SET head_id = p.answer_id, message_count = message_count + ours.messages, \
                                                event_sequence = event_sequence + ours.messages + 1, \
                                                title = coalesce(c.title, p.title), updated_at = p.now \
                FROM p, ours WHERE NOT p.is_new AND ours.n = 1 AND c.id = (SELECT conversation_id FROM p) \
                 AND c.created_by = p.viewer AND c.account_id = p.account_id \
                 AND (NOT p.is_at_head OR c.head_id IS NOT DISTINCT FROM p.parent_id) RETURNING c.id, c.event_sequence), \
        c AS (SELECT * FROM created UNION ALL SELECT * FROM extended \
              UNION ALL SELECT NULL, 0 FROM p, ours WHERE p.conversation_id IS NULL AND ours.n = 1), \
        r AS (SELECT require_moved(EXISTS (SELECT FROM replicas r JOIN p ON r.id = p.replica_id \
                                            WHERE r.fenced_at IS NULL), 'replica') \
                 AND require_moved((SELECT n FROM ours) = 1, 'key') \
                 AND require_moved((SELECT count(*) FROM c) = 1, 'conversation') \
                 AND require_moved((SELECT parent_id IS NULL OR EXISTS (SELECT FROM messages m WHERE m.id = p.parent_id \
                                                                          FOR KEY SHARE) FROM p), 'parent') AS is_ours), \
        h AS (SELECT h.* FROM p, r, LATERAL ledger_hold(CASE WHEN r.is_ours THEN p.generation_id END, p.account_id, \
                'generation', p.want, p.min, p.lines, p.viewer, p.description, p.until) h), \
        m AS (INSERT INTO messages (id, account_id, conversation_id, parent_id, depth, jump_id, jump_depth, role, author_id, \
                                    owner_id, status, parts, created_at) \
              SELECT n.id, p.account_id, c.id, n.parent_id, n.depth, n.jump_id, n.jump_depth, n.role, n.author_id, \
                     CASE WHEN c.id IS NULL THEN p.viewer END, n.status, n.parts, p.now FROM p, c, h, n), \
        v AS (INSERT INTO conversation_events (slot, conversation_id, sequence, kind, message_id, created_at) \
              SELECT conversation_event_slot(p.now), c.id, c.event_sequence - ours.messages - 1 + n.place, 'message', n.id, p.now \
                FROM p, ours, c, h, n WHERE c.id IS NOT NULL \
              UNION ALL \
              SELECT conversation_event_slot(p.now), c.id, c.event_sequence, 'conversation', NULL, p.now FROM p, c, h \
               WHERE c.id IS NOT NULL), \
        g AS (INSERT INTO generations (id, account_id, user_id, conversation_id, message_id, replica_id, requested_model, \
                                       model_key, estimated_input_tokens, terms, is_output_capped, credits_held, created_at) \
              SELECT generation_id, account_id, viewer, c.id, answer_id, replica_id, requested_model, model_key, \
                     estimated_input_tokens, terms, h.units < p.want, h.credits_held, now FROM p, c, h) \
        SELECT h.units, h.credits_held, h.available, h.held, h.revision, c.event_sequence, p.now, h.quotas AS counts FROM p, c, h";
    let columns = Columns::of(turn);
    statement(SQL)
        .bind::<sql_types::Uuid, _>(turn.viewer)
        .bind::<sql_types::Uuid, _>(turn.replica_id)
        .bind::<sql_types::Text, _>(turn.intent.operation)
        .bind::<sql_types::Text, _>(&turn.intent.key)
        .bind::<sql_types::Bytea, _>(&turn.intent.request_hash)
        .bind::<sql_types::Jsonb, _>(&turn.result)
        .bind::<sql_types::Uuid, _>(turn.account_id)
        .bind::<sql_types::Nullable<sql_types::Uuid>, _>(turn.conversation_id)
        .bind::<sql_types::Bool, _>(turn.is_new_conversation)
        .bind::<sql_types::Nullable<sql_types::Uuid>, _>(turn.parent_id)
        .bind::<sql_types::Bool, _>(turn.is_at_head)
        .bind::<sql_types::Nullable<sql_types::Text>, _>(&turn.title)
        .bind::<sql_types::Nullable<sql_types::Text>, _>(&turn.conversation_model)
        .bind::<sql_types::Uuid, _>(turn.answer_id)
        .bind::<sql_types::Uuid, _>(turn.generation_id)
        .bind::<sql_types::Text, _>(&turn.requested_model)
        .bind::<sql_types::Text, _>(&turn.model_key)
        .bind::<sql_types::Int4, _>(i32::try_from(turn.estimated_input_tokens).unwrap_or(i32::MAX))
        .bind::<sql_types::Jsonb, _>(serde_json::json!(turn.quote.terms))
        .bind::<sql_types::BigInt, _>(i64::from(turn.quote.wanted))
        .bind::<sql_types::BigInt, _>(i64::from(turn.quote.min))
        .bind::<sql_types::Jsonb, _>(turn.quote.lines())
        .bind::<sql_types::Timestamptz, _>(turn.quote.until())
        .bind::<sql_types::Text, _>(&turn.description)
        .bind::<sql_types::Array<sql_types::Uuid>, _>(columns.ids)
        .bind::<sql_types::Array<sql_types::Nullable<sql_types::Uuid>>, _>(columns.parents)
        .bind::<sql_types::Array<sql_types::Int4>, _>(columns.depths)
        .bind::<sql_types::Array<sql_types::Nullable<sql_types::Uuid>>, _>(columns.jumps)
        .bind::<sql_types::Array<sql_types::Int4>, _>(columns.jump_depths)
        .bind::<sql_types::Array<sql_types::Text>, _>(columns.roles)
        .bind::<sql_types::Array<sql_types::Nullable<sql_types::Uuid>>, _>(columns.authors)
        .bind::<sql_types::Array<sql_types::Text>, _>(columns.statuses)
        .bind::<sql_types::Array<sql_types::Jsonb>, _>(columns.parts)
        .load(conn)
        .await
        .and_then(only)
        .map(Acceptance::Accepted)
        .or_else(|error| refusal(error, &turn.quote))
}
