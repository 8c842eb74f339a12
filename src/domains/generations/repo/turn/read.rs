//! What is read before a turn.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::read_json;
use crate::{
    domains::{
        conversations::ConversationRow, generations::prompt::PastTurn, subscriptions::SubscriptionRow,
    },
    platform::postgres::{idempotency::Intent, statement::statement},
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
