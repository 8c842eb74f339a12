//! The beginning of a run for a title: hold and run together, no message. It ends like every run.

use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::accept::{Acceptance, refusal};
use crate::{
    domains::credits::Quote,
    platform::postgres::{only, statement::statement},
};

/// A run for a title to accept.
#[derive(Debug)]
pub struct NewTitleRun {
    pub generation_id: Uuid,
    pub replica_id: Uuid,
    pub account_id: Uuid,
    /// In whose name it is spent.
    pub user_id: Uuid,
    pub conversation_id: Uuid,
    pub requested_model: String,
    pub model_key: String,
    pub quote: Quote,
    pub description: String,
}

/// Writes the run with its hold, or nothing. A fenced process begins none.
pub async fn accept_title(conn: &mut AsyncPgConnection, run: &NewTitleRun) -> QueryResult<Acceptance> {
    const SQL: &str = "\
        WITH p AS (SELECT ?::uuid AS id, ?::uuid AS replica_id, ?::uuid AS account_id, ?::uuid AS user_id, \
                          ?::uuid AS conversation_id, ?::text AS requested_model, ?::text AS model_key, ?::jsonb AS terms, \
                          ?::bigint AS want, ?::bigint AS min, ?::jsonb AS lines, ?::timestamptz AS until, \
                          ?::text AS description, loquent_now() AS now), \
        c AS (SELECT c.id FROM p JOIN conversations c ON c.id = p.conversation_id FOR KEY SHARE OF c), \
        r AS (SELECT require_moved(EXISTS (SELECT FROM replicas r JOIN p ON r.id = p.replica_id \
                                            WHERE r.fenced_at IS NULL), 'replica') \
                 AND require_moved((SELECT count(*) FROM c) = 1, 'conversation') AS is_ours), \
        h AS (SELECT h.* FROM p, r, LATERAL ledger_hold(CASE WHEN r.is_ours THEN p.id END, p.account_id, 'generation', \
                p.want, p.min, p.lines, p.user_id, p.description, p.until) h), \
        g AS (INSERT INTO generations (id, account_id, user_id, conversation_id, replica_id, requested_model, model_key, \
                                       terms, is_output_capped, credits_held, created_at, purpose) \
              SELECT p.id, p.account_id, p.user_id, c.id, p.replica_id, p.requested_model, p.model_key, p.terms, \
                     h.units < p.want, h.credits_held, p.now, 'title' FROM p, c, h) \
        SELECT h.units, h.credits_held, h.available, h.held, h.revision, 0 AS event_sequence, p.now, h.quotas AS counts \
          FROM p, h";
    statement(SQL)
        .bind::<sql_types::Uuid, _>(run.generation_id)
        .bind::<sql_types::Uuid, _>(run.replica_id)
        .bind::<sql_types::Uuid, _>(run.account_id)
        .bind::<sql_types::Uuid, _>(run.user_id)
        .bind::<sql_types::Uuid, _>(run.conversation_id)
        .bind::<sql_types::Text, _>(&run.requested_model)
        .bind::<sql_types::Text, _>(&run.model_key)
        .bind::<sql_types::Jsonb, _>(serde_json::json!(run.quote.terms))
        .bind::<sql_types::BigInt, _>(i64::from(run.quote.wanted))
        .bind::<sql_types::BigInt, _>(i64::from(run.quote.min))
        .bind::<sql_types::Jsonb, _>(run.quote.lines())
        .bind::<sql_types::Timestamptz, _>(run.quote.until())
        .bind::<sql_types::Text, _>(&run.description)
        .load(conn)
        .await
        .and_then(only)
        .map(Acceptance::Accepted)
        .or_else(|error| refusal(error, &run.quote))
}
