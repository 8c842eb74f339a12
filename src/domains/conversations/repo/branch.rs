//! Messages of conversations. Pages of several conversations are read by one statement with a lateral join,
//! which Diesel's typed queries cannot express.

use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    domains::conversations::model::MessageRow,
    platform::postgres::statement::statement,
    schema::{conversations, members, messages},
};

/// The messages among `ids` that the viewer may read.
pub async fn list_messages(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    ids: &[Uuid],
) -> QueryResult<Vec<MessageRow>> {
    let accounts = members::table.filter(members::user_id.eq(viewer)).select(members::account_id);
    messages::table
        .inner_join(conversations::table.on(conversations::id.eq(messages::conversation_id)))
        .filter(messages::id.eq_any(ids))
        .filter(conversations::created_by.eq(viewer))
        .filter(conversations::account_id.eq_any(accounts))
        .select(MessageRow::as_select())
        .load(conn)
        .await
}

/// A page of a branch, counted from its end or its start, between two messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BranchPage {
    pub limit: i64,
    pub is_from_end: bool,
    pub after: Option<Uuid>,
    pub before: Option<Uuid>,
}

/// The same page of each conversation, oldest message first. The conversations were read for the viewer before.
///
/// Until messages can branch off, all messages of a conversation are one branch in the order of their ids.
pub async fn list_branches(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    conversations: &[Uuid],
    page: BranchPage,
) -> QueryResult<Vec<MessageRow>> {
    const FORWARD: &str = "\
        SELECT m.* FROM conversations c, LATERAL (
          SELECT * FROM messages WHERE conversation_id = c.id AND id > ? AND id < ? ORDER BY id LIMIT ?) m
         WHERE c.id = ANY(?) AND c.created_by = ? ORDER BY m.id";
    const BACKWARD: &str = "\
        SELECT m.* FROM conversations c, LATERAL (
          SELECT * FROM messages WHERE conversation_id = c.id AND id > ? AND id < ? ORDER BY id DESC LIMIT ?) m
         WHERE c.id = ANY(?) AND c.created_by = ? ORDER BY m.id";
    statement(if page.is_from_end { BACKWARD } else { FORWARD })
        .bind::<sql_types::Uuid, _>(page.after.unwrap_or(Uuid::nil()))
        .bind::<sql_types::Uuid, _>(page.before.unwrap_or(Uuid::max()))
        .bind::<sql_types::BigInt, _>(page.limit)
        .bind::<sql_types::Array<sql_types::Uuid>, _>(conversations)
        .bind::<sql_types::Uuid, _>(viewer)
        .load(conn)
        .await
}
