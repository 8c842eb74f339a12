//! Queries of titles that models make.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::conversations::log_change_in_tx;
use crate::{
    domains::conversations::model::{ConversationRow, MessageRow, TitleState},
    platform::postgres::{now, only},
    schema::{conversations, messages},
};

/// Notes that a title is asked of a model; false when one was before, or a person has given one.
pub async fn ask_for_title_in_tx(conn: &mut AsyncPgConnection, id: Uuid) -> QueryResult<bool> {
    let asked = diesel::update(conversations::table)
        .filter(conversations::id.eq(id))
        .filter(conversations::title_state.eq(TitleState::Open.as_str()))
        .set(conversations::title_state.eq(TitleState::Asked.as_str()))
        .execute(conn)
        .await?;
    Ok(asked == 1)
}

/// A conversation that waits for a title, a message of it, and the one that this answers. `None` when it does not wait any
/// more, or a message is gone. Of whoever it is: the caller spends in the name of who started it.
pub async fn find_exchange_unscoped(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    answer_id: Uuid,
) -> QueryResult<Option<(ConversationRow, MessageRow, MessageRow)>> {
    let (question, answer) = diesel::alias!(messages as question, messages as answer);
    let found = conversations::table
        .inner_join(answer.on(answer.field(messages::conversation_id).eq(conversations::id.nullable())))
        .inner_join(
            question.on(answer.field(messages::parent_id).eq(question.field(messages::id).nullable())),
        )
        .filter(conversations::id.eq(id))
        .filter(conversations::title_state.eq(TitleState::Asked.as_str()))
        .filter(answer.field(messages::id).eq(answer_id))
        .select((
            ConversationRow::as_select(),
            question.fields(<MessageRow as Selectable<diesel::pg::Pg>>::construct_selection()),
            answer.fields(<MessageRow as Selectable<diesel::pg::Pg>>::construct_selection()),
        ))
        .first(conn)
        .await;
    found.optional()
}

/// Gives a conversation that waits for it the title of a model, and writes its log; false when a person was faster.
pub async fn give_title_in_tx(conn: &mut AsyncPgConnection, id: Uuid, title: &str) -> QueryResult<bool> {
    let given: Option<i32> = diesel::update(conversations::table)
        .filter(conversations::id.eq(id))
        .filter(conversations::title_state.eq(TitleState::Asked.as_str()))
        .set((
            conversations::title.eq(title),
            conversations::title_state.eq(TitleState::Given.as_str()),
            conversations::updated_at.eq(now()),
            conversations::event_sequence.eq(conversations::event_sequence + 1),
        ))
        .returning(conversations::event_sequence)
        .load(conn)
        .await
        .and_then(only)
        .optional()?;
    if let Some(sequence) = given {
        log_change_in_tx(conn, id, sequence).await?;
    }
    Ok(given.is_some())
}
