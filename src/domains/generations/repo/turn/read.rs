//! What is known before a turn.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use uuid::Uuid;

use super::read_json;
use crate::{
    domains::{
        conversations::{ConversationRow, MessageRow, Spine},
        generations::{bounds, prompt::PastTurn},
        subscriptions::SubscriptionRow,
    },
    platform::postgres::{idempotency::Intent, statement::statement},
};

/// What a new message follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Follows {
    /// The last message of the branch shown, or nothing in an empty conversation.
    Head,
    /// This message.
    Message(Uuid),
    /// Nothing: it is the first of a branch.
    Nothing,
    /// What this answer follows, which gets an alternative.
    SameAs(Uuid),
}

impl Follows {
    fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Message(_) => "message",
            Self::Nothing => "nothing",
            Self::SameAs(_) => "same_as",
        }
    }

    fn message_id(self) -> Option<Uuid> {
        match self {
            Self::Message(id) | Self::SameAs(id) => Some(id),
            Self::Head | Self::Nothing => None,
        }
    }
}

/// Which turn is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub viewer: Uuid,
    /// `None` for a new conversation, or for that of the message that is followed.
    pub conversation_id: Option<Uuid>,
    /// Of a new conversation.
    pub account_id: Uuid,
    pub follows: Follows,
    /// History is read no further once so much of it is, in bytes as stored.
    pub history_bytes: i32,
    pub intent: &'a Intent,
}

/// What is known before a turn.
#[derive(Debug)]
pub struct Context {
    /// Request hash and result under the idempotency key.
    pub stored: Option<(Vec<u8>, serde_json::Value)>,
    /// The person may spend in the account of the conversation, or in the one asked for.
    pub is_member: bool,
    /// The conversation, if one was named and is the viewer's.
    pub conversation: Option<ConversationRow>,
    /// The message that the turn follows; `None` for nothing, and when it is not in the conversation.
    pub parent: Option<MessageRow>,
    /// The parent and what its place is made of.
    pub spine: Spine,
    /// Messages that follow the parent already, counted up to one more than there may be.
    pub siblings: i64,
    /// Model that was asked for the answer that gets an alternative; `None` when it is no answer of the conversation.
    pub answered_by: Option<String>,
    /// The branch up to the parent, oldest first.
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
    #[diesel(sql_type = sql_types::Nullable<sql_types::Jsonb>)]
    parent: Option<serde_json::Value>,
    #[diesel(sql_type = sql_types::Jsonb)]
    spine: serde_json::Value,
    #[diesel(sql_type = sql_types::BigInt)]
    siblings: i64,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    answered_by: Option<String>,
    #[diesel(sql_type = sql_types::Jsonb)]
    history: serde_json::Value,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Timestamptz>)]
    account_created_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Jsonb>)]
    subscription: Option<serde_json::Value>,
    #[diesel(sql_type = sql_types::Timestamptz)]
    now: DateTime<Utc>,
}

/// Reads what a turn needs: an earlier result, the rights, the conversation, and the branch that the turn continues.
/// `OFFSET 0` keeps each step up the branch a look into the index, however many rows the planner expects.
pub async fn read_turn(conn: &mut AsyncPgConnection, asked: Asked<'_>) -> QueryResult<Context> {
    const SQL: &str = "\
        WITH RECURSIVE p AS (SELECT ?::uuid AS viewer, ?::uuid AS conversation_id, ?::uuid AS account_id, \
                                    ?::text AS follows, ?::uuid AS message_id, ?::text AS operation, ?::text AS key, \
                                    ?::int AS max_history, ?::int AS max_bytes, ?::bigint AS max_siblings, \
                                    ?::int AS max_counted), \
        c AS (SELECT * FROM conversations WHERE created_by = (SELECT viewer FROM p) \
               AND id = (SELECT coalesce(p.conversation_id, (SELECT conversation_id FROM messages WHERE id = p.message_id)) FROM p)), \
        named AS (SELECT m.id, m.parent_id FROM p, c, LATERAL (SELECT * FROM messages WHERE id = p.message_id OFFSET 0) m \
                   WHERE m.conversation_id = c.id), \
        start AS (SELECT CASE p.follows WHEN 'head' THEN c.head_id WHEN 'message' THEN named.id \
                              WHEN 'same_as' THEN named.parent_id END AS id \
                    FROM p, c LEFT JOIN named ON true), \
        parent AS (SELECT m.* FROM start, LATERAL (SELECT * FROM messages WHERE id = start.id OFFSET 0) m), \
        branch AS ( \
          SELECT m.id, m.parent_id, m.role, m.parts, 1 AS distance, pg_column_size(m.parts) AS bytes \
            FROM parent m \
          UNION ALL \
          SELECT m.id, m.parent_id, m.role, m.parts, branch.distance + 1, branch.bytes + pg_column_size(m.parts) \
            FROM p, branch, LATERAL (SELECT * FROM messages WHERE id = branch.parent_id OFFSET 0) m \
           WHERE branch.distance < p.max_history AND branch.bytes < p.max_bytes), \
        spine AS ( \
          SELECT m.id, m.depth, m.jump_id, 1 AS n FROM parent m \
          UNION ALL \
          SELECT m.id, m.depth, m.jump_id, spine.n + 1 FROM spine, \
                 LATERAL (SELECT * FROM messages WHERE id = spine.jump_id OFFSET 0) m WHERE spine.n < 4), \
        siblings AS ( \
          (SELECT FROM start, LATERAL (SELECT FROM messages WHERE parent_id = start.id LIMIT (SELECT max_siblings FROM p)) m) \
          UNION ALL \
          (SELECT FROM c, start, LATERAL (SELECT FROM messages WHERE start.id IS NULL AND parent_id IS NULL \
                    AND conversation_id = c.id LIMIT (SELECT max_siblings FROM p)) m)) \
        SELECT k.request_hash, k.result, \
               EXISTS (SELECT FROM members WHERE user_id = p.viewer AND role <> 'reader' \
                          AND account_id = coalesce((SELECT account_id FROM c), p.account_id)) AS is_member, \
               (SELECT to_jsonb(c) FROM c) AS conversation, \
               (SELECT to_jsonb(parent) FROM parent) AS parent, \
               coalesce((SELECT jsonb_object_agg(depth, id) FROM spine), '{}') AS spine, \
               (SELECT count(*) FROM siblings) AS siblings, \
               (SELECT g.requested_model FROM named JOIN generations g ON g.message_id = named.id LIMIT 1) AS answered_by, \
               coalesce((SELECT jsonb_agg(jsonb_build_object('role', role, 'parts', parts, 'counted', \
                                  (SELECT jsonb_build_object('model_key', g.model_key, 'estimated', g.estimated_input_tokens, \
                                            'input', least(g.input_tokens::bigint + g.cached_input_tokens + g.cache_write_tokens, 2147483647), \
                                            'output', g.output_tokens) \
                                     FROM generations g WHERE branch.distance <= p.max_counted AND g.message_id = branch.id \
                                      AND g.usage_source = 'provider' ORDER BY g.id DESC LIMIT 1)) ORDER BY distance DESC) \
                           FROM branch), '[]') AS history, \
               (SELECT created_at FROM accounts WHERE id = coalesce((SELECT account_id FROM c), p.account_id)) AS account_created_at, \
               (SELECT to_jsonb(s) FROM subscriptions s WHERE s.ended_at IS NULL \
                   AND s.account_id = coalesce((SELECT account_id FROM c), p.account_id)) AS subscription, \
               loquent_now() AS now \
          FROM p LEFT JOIN idempotency_keys k \
            ON k.user_id = p.viewer AND k.operation = p.operation AND k.key = p.key AND k.expires_at > loquent_now()";
    let row: ContextRow = statement(SQL)
        .bind::<sql_types::Uuid, _>(asked.viewer)
        .bind::<sql_types::Nullable<sql_types::Uuid>, _>(asked.conversation_id)
        .bind::<sql_types::Uuid, _>(asked.account_id)
        .bind::<sql_types::Text, _>(asked.follows.as_str())
        .bind::<sql_types::Nullable<sql_types::Uuid>, _>(asked.follows.message_id())
        .bind::<sql_types::Text, _>(asked.intent.operation)
        .bind::<sql_types::Text, _>(&asked.intent.key)
        .bind::<sql_types::Int4, _>(bounds::MAX_HISTORY)
        .bind::<sql_types::Int4, _>(asked.history_bytes)
        .bind::<sql_types::BigInt, _>(bounds::MAX_SIBLINGS)
        .bind::<sql_types::Int4, _>(bounds::MAX_COUNTED)
        .get_result(conn)
        .await?;
    let spine: HashMap<String, Uuid> = read_json(row.spine)?;
    let spine = spine.into_iter().filter_map(|(depth, id)| Some((depth.parse().ok()?, id))).collect();
    Ok(Context {
        stored: row.request_hash.zip(row.result),
        is_member: row.is_member,
        conversation: row.conversation.map(read_json).transpose()?,
        parent: row.parent.map(read_json).transpose()?,
        spine: Spine::new(spine),
        siblings: row.siblings,
        answered_by: row.answered_by,
        history: read_json(row.history)?,
        payer: row.account_created_at.zip(row.subscription.map(read_json).transpose()?),
        now: row.now,
    })
}
