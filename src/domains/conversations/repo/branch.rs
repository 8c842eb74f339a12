//! Messages of conversations. Pages of several branches are read by one recursive statement, which Diesel's typed queries
//! cannot express.

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
        .inner_join(conversations::table.on(messages::conversation_id.eq(conversations::id.nullable())))
        .filter(messages::id.eq_any(ids))
        .filter(conversations::created_by.eq(viewer))
        .filter(conversations::account_id.eq_any(accounts))
        .select(MessageRow::as_select())
        .load(conn)
        .await
}

/// A page of a branch, counted from its end or its start, between two depths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BranchPage {
    pub limit: i64,
    pub is_from_end: bool,
    pub after: Option<i32>,
    pub before: Option<i32>,
}

/// A message of a branch that was asked for.
#[derive(Debug, QueryableByName)]
pub struct BranchMessage {
    /// Which of the branches, from 1.
    #[diesel(sql_type = sql_types::BigInt)]
    pub place: i64,
    #[diesel(embed)]
    pub message: MessageRow,
}

/// The same page of each branch, oldest message first. A branch is a conversation of the viewer's and its last message;
/// without one it is the branch shown. One climbs from the last message to the page by jumps, then message by message; `OFFSET
/// 0` keeps each step a look into the index, however many rows the planner expects.
pub async fn list_branches(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    branches: &[(Uuid, Option<Uuid>)],
    page: BranchPage,
) -> QueryResult<Vec<BranchMessage>> {
    const SQL: &str = "\
        WITH RECURSIVE p AS (SELECT ?::boolean AS is_from_end, ?::int AS lowest, ?::int AS highest, ?::int AS size), \
        b AS (SELECT k.place, h.id, least(p.highest, h.depth) AS highest \
                FROM p, unnest(?::uuid[], ?::uuid[]) WITH ORDINALITY AS k (conversation_id, head_id, place) \
                JOIN conversations c ON c.id = k.conversation_id AND c.created_by = ? \
                CROSS JOIN LATERAL (SELECT * FROM messages WHERE id = coalesce(k.head_id, c.head_id) \
                                      AND conversation_id = c.id OFFSET 0) h), \
        page AS (SELECT b.place, b.id, \
                        CASE WHEN is_from_end THEN greatest(lowest, b.highest - size + 1) ELSE lowest END AS lowest, \
                        CASE WHEN is_from_end THEN b.highest ELSE least(b.highest, lowest + size - 1) END AS highest \
                   FROM p, b), \
        climb AS ( \
          SELECT page.*, m.parent_id, m.jump_id, m.depth, m.jump_depth \
            FROM page, LATERAL (SELECT * FROM messages WHERE id = page.id OFFSET 0) m WHERE page.lowest <= page.highest \
          UNION ALL \
          SELECT c.place, m.id, c.lowest, c.highest, m.parent_id, m.jump_id, m.depth, m.jump_depth \
            FROM climb c, LATERAL (SELECT * FROM messages \
                    WHERE id = CASE WHEN c.jump_depth >= c.highest THEN c.jump_id ELSE c.parent_id END OFFSET 0) m \
           WHERE c.depth > c.lowest) \
        SELECT climb.place, m.* FROM climb, LATERAL (SELECT * FROM messages WHERE id = climb.id OFFSET 0) m \
         WHERE climb.depth <= climb.highest ORDER BY climb.place, climb.depth";
    let (conversations, heads): (Vec<Uuid>, Vec<Option<Uuid>>) = branches.iter().copied().unzip();
    statement(SQL)
        .bind::<sql_types::Bool, _>(page.is_from_end)
        .bind::<sql_types::Int4, _>(page.after.map_or(0, |depth| depth.saturating_add(1)))
        .bind::<sql_types::Int4, _>(page.before.map_or(i32::MAX, |depth| depth.saturating_sub(1)))
        .bind::<sql_types::Int4, _>(i32::try_from(page.limit).unwrap_or(i32::MAX))
        .bind::<sql_types::Array<sql_types::Uuid>, _>(conversations)
        .bind::<sql_types::Array<sql_types::Nullable<sql_types::Uuid>>, _>(heads)
        .bind::<sql_types::Uuid, _>(viewer)
        .load(conn)
        .await
}

/// A message and its alternatives.
#[derive(Debug, QueryableByName)]
pub struct Sibling {
    #[diesel(sql_type = sql_types::Uuid)]
    pub of: Uuid,
    #[diesel(embed)]
    pub message: MessageRow,
}

/// The alternatives of each message that the viewer may read, itself included, oldest first.
pub async fn list_siblings(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    ids: &[Uuid],
) -> QueryResult<Vec<Sibling>> {
    const SQL: &str = "\
        WITH k AS (SELECT m.id, m.parent_id, m.conversation_id FROM messages m \
                     JOIN conversations c ON c.id = m.conversation_id AND c.created_by = ? WHERE m.id = ANY(?)), \
        s AS (SELECT k.id AS of, m.* FROM k JOIN messages m ON m.parent_id = k.parent_id \
              UNION ALL \
              SELECT k.id, m.* FROM k JOIN messages m ON m.parent_id IS NULL AND m.conversation_id = k.conversation_id \
               WHERE k.parent_id IS NULL) \
        SELECT * FROM s ORDER BY of, id";
    statement(SQL)
        .bind::<sql_types::Uuid, _>(viewer)
        .bind::<sql_types::Array<sql_types::Uuid>, _>(ids)
        .load(conn)
        .await
}
