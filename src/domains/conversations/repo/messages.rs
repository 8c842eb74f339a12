//! Queries of messages.

use diesel::{dsl::exists, prelude::*};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::conversations::accounts_of;
use crate::{
    domains::conversations::model::MessageRow,
    schema::{conversations, messages},
};

/// The messages among `ids` that the viewer may read: those of own conversations, and own one-shot answers.
pub async fn list_messages(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    ids: &[Uuid],
) -> QueryResult<Vec<MessageRow>> {
    let is_in_own = conversations::table
        .filter(conversations::id.nullable().eq(messages::conversation_id))
        .filter(conversations::created_by.eq(viewer));
    messages::table
        .filter(messages::id.eq_any(ids))
        .filter(messages::owner_id.eq(viewer).or(exists(is_in_own).nullable()))
        .filter(messages::account_id.eq_any(accounts_of(viewer)))
        .select(MessageRow::as_select())
        .load(conn)
        .await
}
