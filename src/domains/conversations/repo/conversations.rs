//! Queries of conversations.

use chrono::{DateTime, Utc};
use diesel::{dsl::case_when, prelude::*};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    domains::conversations::{
        model::{ConversationRow, TitleState},
        options::AnswerOptions,
    },
    platform::postgres::{now, only},
    schema::{conversation_events, conversations, members},
};

/// The viewer's conversations among `ids`.
pub async fn list_conversations(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    ids: &[Uuid],
) -> QueryResult<Vec<ConversationRow>> {
    conversations::table
        .filter(conversations::id.eq_any(ids))
        .filter(conversations::created_by.eq(viewer))
        .filter(conversations::account_id.eq_any(accounts_of(viewer)))
        .select(ConversationRow::as_select())
        .load(conn)
        .await
}

/// The conversation, if it is the viewer's.
pub async fn find_conversation(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    id: Uuid,
) -> QueryResult<Option<ConversationRow>> {
    Ok(list_conversations(conn, viewer, &[id]).await?.into_iter().next())
}

pub async fn insert_conversation(conn: &mut AsyncPgConnection, row: &ConversationRow) -> QueryResult<()> {
    diesel::insert_into(conversations::table).values(row).execute(conn).await.map(drop)
}

/// What may be changed; `Some(None)` empties a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConversationChanges {
    pub title: Option<Option<String>>,
    pub system_prompt: Option<Option<String>>,
    pub model_key: Option<Option<String>>,
    pub options: Option<AnswerOptions>,
    pub is_starred: Option<bool>,
    /// What is put away again keeps its time.
    pub is_archived: Option<bool>,
    pub tags: Option<Vec<String>>,
}

/// Columns that get the value of a change.
#[derive(AsChangeset)]
#[diesel(table_name = conversations)]
struct Changed<'a> {
    title: Option<Option<&'a str>>,
    title_state: Option<&'static str>,
    system_prompt: Option<Option<&'a str>>,
    model_key: Option<Option<&'a str>>,
    options: Option<serde_json::Value>,
    is_starred: Option<bool>,
    tags: Option<Vec<Option<&'a str>>>,
}

impl<'a> Changed<'a> {
    fn of(changes: &'a ConversationChanges) -> Self {
        Self {
            title: changes.title.as_ref().map(Option::as_deref),
            title_state: changes.title.as_ref().map(|title| TitleState::of(title.as_deref()).as_str()),
            system_prompt: changes.system_prompt.as_ref().map(Option::as_deref),
            model_key: changes.model_key.as_ref().map(Option::as_deref),
            options: changes.options.as_ref().map(|options| serde_json::json!(options)),
            is_starred: changes.is_starred,
            tags: changes.tags.as_ref().map(|tags| tags.iter().map(|tag| Some(tag.as_str())).collect()),
        }
    }
}

diesel::define_sql_function! {
    /// Slot of the ring of events for this instant.
    fn conversation_event_slot(at: diesel::sql_types::Timestamptz) -> diesel::sql_types::SmallInt;
}

/// The row after the changes, which are in its log; `None` when it is not the viewer's.
pub async fn update_conversation_in_tx(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    id: Uuid,
    changes: &ConversationChanges,
) -> QueryResult<Option<ConversationRow>> {
    let row = diesel::update(conversations::table)
        .filter(conversations::id.eq(id))
        .filter(conversations::created_by.eq(viewer))
        .filter(conversations::account_id.eq_any(accounts_of(viewer)))
        .set((
            Changed::of(changes),
            (changes.is_archived == Some(true)).then(|| {
                let first = case_when(conversations::archived_at.is_null(), now().nullable());
                conversations::archived_at.eq(first.otherwise(conversations::archived_at))
            }),
            (changes.is_archived == Some(false))
                .then(|| conversations::archived_at.eq(None::<DateTime<Utc>>)),
            conversations::updated_at.eq(now()),
            conversations::event_sequence.eq(conversations::event_sequence + 1),
        ))
        .returning(ConversationRow::as_returning())
        .load(conn)
        .await
        .and_then(only)
        .optional()?;
    if let Some(row) = &row {
        log_change_in_tx(conn, row.id, row.event_sequence).await?;
    }
    Ok(row)
}

/// Writes the entry of this number, that the conversation itself has changed.
pub(super) async fn log_change_in_tx(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    event_sequence: i32,
) -> QueryResult<()> {
    diesel::insert_into(conversation_events::table)
        .values((
            conversation_events::slot.eq(conversation_event_slot(now())),
            conversation_events::conversation_id.eq(id),
            conversation_events::sequence.eq(event_sequence),
            conversation_events::kind.eq("conversation"),
        ))
        .execute(conn)
        .await
        .map(drop)
}

/// Removes a conversation with its messages; false when it is not the viewer's.
pub async fn delete_conversation(conn: &mut AsyncPgConnection, viewer: Uuid, id: Uuid) -> QueryResult<bool> {
    let deleted = diesel::delete(conversations::table)
        .filter(conversations::id.eq(id))
        .filter(conversations::created_by.eq(viewer))
        .filter(conversations::account_id.eq_any(accounts_of(viewer)))
        .execute(conn)
        .await?;
    Ok(deleted == 1)
}

/// Accounts the viewer belongs to.
#[diesel::dsl::auto_type]
pub fn accounts_of(viewer: Uuid) -> _ {
    members::table.filter(members::user_id.eq(viewer)).select(members::account_id)
}
