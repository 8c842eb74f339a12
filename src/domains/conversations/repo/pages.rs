//! Pages of lists, the same page of several lists by one statement: a lateral join, which Diesel's typed queries cannot
//! express.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::conversations::accounts_of;
use crate::{
    domains::conversations::model::{ConversationRow, MessageRow},
    platform::postgres::statement::statement,
};

/// A page of the conversations of an account, latest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConversationPage {
    pub limit: i64,
    /// Time of the last change and id of the conversation that it follows.
    pub after: Option<(DateTime<Utc>, Uuid)>,
}

/// The same page of the viewer's conversations in each of the accounts.
pub async fn list_conversation_pages(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    accounts: &[Uuid],
    page: &ConversationPage,
) -> QueryResult<Vec<ConversationRow>> {
    const SQL: &str = "\
        SELECT c.* FROM unnest(?::uuid[]) AS a (id), LATERAL (
          SELECT * FROM conversations
           WHERE account_id = a.id AND created_by = ? AND (updated_at, id) < (coalesce(?::timestamptz, 'infinity'), ?)
           ORDER BY updated_at DESC, id DESC LIMIT ?) c
         WHERE a.id IN (?) ORDER BY c.updated_at DESC, c.id DESC";
    let (updated_at, id) = page.after.unzip();
    statement(SQL)
        .bind::<sql_types::Array<sql_types::Uuid>, _>(accounts)
        .bind::<sql_types::Uuid, _>(viewer)
        .bind::<sql_types::Nullable<sql_types::Timestamptz>, _>(updated_at)
        .bind::<sql_types::Uuid, _>(id.unwrap_or(Uuid::max()))
        .bind::<sql_types::BigInt, _>(page.limit)
        .query(accounts_of(viewer))
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
    page: &BranchPage,
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
