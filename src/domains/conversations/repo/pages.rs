//! Pages of lists, the same page of several lists by one statement: lateral joins and climbs, which Diesel's typed queries
//! cannot express.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::conversations::accounts_of;
use crate::{
    domains::conversations::model::{ConversationRow, MessageRow},
    platform::postgres::statement::statement,
};

/// Choice among conversations; what is `None` or empty does not choose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ConversationChoice {
    pub is_starred: Option<bool>,
    pub is_archived: Option<bool>,
    /// Those that the viewer started, or the others.
    pub is_mine: Option<bool>,
    /// All of these.
    pub tags: Vec<String>,
    /// All of these somewhere in the title, whatever their case.
    pub words: Vec<String>,
}

/// A page of the conversations of an account, latest first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConversationPage {
    pub limit: i64,
    /// Time of the last change and id of the conversation that it follows.
    pub after: Option<(DateTime<Utc>, Uuid)>,
    pub choice: ConversationChoice,
}

/// The statements of pages with such conversations: without labels and words, and with both. The conditions are constants,
/// because the planner takes a partial index only for what it can read; and what does not choose is left out, because the
/// planner would think that it leaves next to nothing.
macro_rules! pages_of {
    ($condition:literal) => {
        [
            pages_of!($condition, ""),
            pages_of!(
                $condition,
                "AND tags @> ?::text[] AND coalesce(title, '') ILIKE ALL (?::text[]) "
            ),
        ]
    };
    ($condition:literal, $choice:literal) => {
        concat!(
            "SELECT c.* FROM unnest(?::uuid[]) AS a (id), LATERAL ( \
               SELECT * FROM conversations \
                WHERE account_id = a.id AND created_by = ? AND (updated_at, id) < (coalesce(?::timestamptz, 'infinity'), ?) ",
            $condition,
            $choice,
            "ORDER BY updated_at DESC, id DESC LIMIT ?) c \
              WHERE a.id IN (?) ORDER BY c.updated_at DESC, c.id DESC"
        )
    };
}

impl ConversationChoice {
    fn sql(&self) -> &'static str {
        let [plain, chosen] = match (self.is_archived, self.is_starred) {
            (None, None) => pages_of!(""),
            (None, Some(true)) => pages_of!("AND is_starred "),
            (None, Some(false)) => pages_of!("AND NOT is_starred "),
            (Some(false), None) => pages_of!("AND archived_at IS NULL "),
            (Some(false), Some(true)) => pages_of!("AND archived_at IS NULL AND is_starred "),
            (Some(false), Some(false)) => pages_of!("AND archived_at IS NULL AND NOT is_starred "),
            (Some(true), None) => pages_of!("AND archived_at IS NOT NULL "),
            (Some(true), Some(true)) => pages_of!("AND archived_at IS NOT NULL AND is_starred "),
            (Some(true), Some(false)) => pages_of!("AND archived_at IS NOT NULL AND NOT is_starred "),
        };
        if self.has_words() { chosen } else { plain }
    }

    /// It looks at labels or titles.
    fn has_words(&self) -> bool {
        !self.tags.is_empty() || !self.words.is_empty()
    }

    fn patterns(&self) -> Vec<String> {
        self.words.iter().map(|word| pattern_of(word)).collect()
    }
}

/// A pattern of `LIKE` for texts that contain the word.
fn pattern_of(word: &str) -> String {
    let mut pattern = "%".to_owned();
    for char in word.chars() {
        if matches!(char, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern + "%"
}

/// The same page of the viewer's conversations in each of the accounts. Who started a conversation is the only one who sees
/// it, so nobody sees those of others.
pub async fn list_conversation_pages(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    accounts: &[Uuid],
    page: &ConversationPage,
) -> QueryResult<Vec<ConversationRow>> {
    let choice = &page.choice;
    if choice.is_mine == Some(false) {
        return Ok(Vec::new());
    }
    let (updated_at, id) = page.after.unzip();
    let mut pages = statement(choice.sql())
        .bind::<sql_types::Array<sql_types::Uuid>, _>(accounts)
        .bind::<sql_types::Uuid, _>(viewer)
        .bind::<sql_types::Nullable<sql_types::Timestamptz>, _>(updated_at)
        .bind::<sql_types::Uuid, _>(id.unwrap_or(Uuid::max()));
    if choice.has_words() {
        pages =
            pages
                .bind::<sql_types::Array<sql_types::Text>, _>(&choice.tags)
                .bind::<sql_types::Array<sql_types::Text>, _>(choice.patterns());
    }
    pages.bind::<sql_types::BigInt, _>(page.limit).query(accounts_of(viewer)).load(conn).await
}

/// A page of a branch, counted from its end or its start, between two depths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BranchPage {
    pub limit: i64,
    pub is_from_end: bool,
    pub after: Option<i32>,
    pub before: Option<i32>,
    /// Last message of the branch; `None` for the one shown.
    pub head_id: Option<Uuid>,
}

/// The same page of each conversation, oldest message first. The conversations were read for the viewer before. One climbs
/// from the last message to the page by jumps, then message by message; `OFFSET 0` keeps each step a look into the index,
/// however many rows the planner expects.
pub async fn list_branches(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    conversations: &[Uuid],
    page: &BranchPage,
) -> QueryResult<Vec<MessageRow>> {
    const SQL: &str = "\
        WITH RECURSIVE p AS (SELECT ?::boolean AS is_from_end, ?::int AS lowest, ?::int AS highest, ?::int AS size, ?::uuid AS head_id), \
        b AS (SELECT h.id, least(p.highest, h.depth) AS highest FROM p, conversations c, \
                     LATERAL (SELECT * FROM messages WHERE id = coalesce(p.head_id, c.head_id) AND conversation_id = c.id OFFSET 0) h \
               WHERE c.id = ANY(?) AND c.created_by = ?), \
        page AS (SELECT b.id, \
                        CASE WHEN is_from_end THEN greatest(lowest, b.highest - size + 1) ELSE lowest END AS lowest, \
                        CASE WHEN is_from_end THEN b.highest ELSE least(b.highest, lowest + size - 1) END AS highest \
                   FROM p, b), \
        climb AS ( \
          SELECT page.*, m.parent_id, m.jump_id, m.depth, m.jump_depth \
            FROM page, LATERAL (SELECT * FROM messages WHERE id = page.id OFFSET 0) m WHERE page.lowest <= page.highest \
          UNION ALL \
          SELECT m.id, c.lowest, c.highest, m.parent_id, m.jump_id, m.depth, m.jump_depth \
            FROM climb c, LATERAL (SELECT * FROM messages \
                    WHERE id = CASE WHEN c.jump_depth >= c.highest THEN c.jump_id ELSE c.parent_id END OFFSET 0) m \
           WHERE c.depth > c.lowest) \
        SELECT m.* FROM climb, LATERAL (SELECT * FROM messages WHERE id = climb.id OFFSET 0) m \
         WHERE climb.depth <= climb.highest ORDER BY climb.depth";
    statement(SQL)
        .bind::<sql_types::Bool, _>(page.is_from_end)
        .bind::<sql_types::Int4, _>(page.after.map_or(0, |depth| depth.saturating_add(1)))
        .bind::<sql_types::Int4, _>(page.before.map_or(i32::MAX, |depth| depth.saturating_sub(1)))
        .bind::<sql_types::Int4, _>(i32::try_from(page.limit).unwrap_or(i32::MAX))
        .bind::<sql_types::Nullable<sql_types::Uuid>, _>(page.head_id)
        .bind::<sql_types::Array<sql_types::Uuid>, _>(conversations)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_in_patterns_is_taken_literally() {
        assert_eq!(pattern_of("sea"), "%sea%");
        assert_eq!(pattern_of(r"50%_\"), r"%50\%\_\\%");
    }
}
