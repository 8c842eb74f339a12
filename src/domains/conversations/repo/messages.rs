//! Queries of messages.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::conversations::accounts_of;
use crate::{
    domains::conversations::model::MessageRow,
    schema::{conversations, messages},
};

/// The messages among `ids` that the viewer may read.
pub async fn list_messages(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    ids: &[Uuid],
) -> QueryResult<Vec<MessageRow>> {
    messages::table
        .left_join(conversations::table.on(messages::conversation_id.eq(conversations::id.nullable())))
        .filter(messages::id.eq_any(ids))
        .filter(conversations::created_by.nullable().eq(viewer).or(messages::owner_id.eq(viewer)))
        .filter(messages::account_id.eq_any(accounts_of(viewer)))
        .select(MessageRow::as_select())
        .load(conn)
        .await
}
