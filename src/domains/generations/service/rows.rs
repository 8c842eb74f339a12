//! The rows of a turn as the database has just written them, so that the answer needs no second look.

use crate::domains::{
    conversations::{ConversationRow, MessageRow, TitleState},
    credits::Hold,
    generations::{
        model::{GenerationRow, Purpose},
        repo::{Accepted, NewTurn},
    },
};

/// First line of a message, cut between characters.
pub fn title_of(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let title: String = line.chars().filter(|char| !char.is_control()).take(80).collect();
    (!title.is_empty()).then_some(title)
}

/// The messages of an accepted turn: that of the person, if it is new, and the answer.
pub fn messages_of(turn: &NewTurn, accepted: &Accepted) -> (Option<MessageRow>, MessageRow) {
    let answer = MessageRow {
        id: turn.answer_id,
        account_id: turn.account_id,
        conversation_id: turn.conversation_id,
        parent_id: turn.answer_place.parent_id,
        depth: turn.answer_place.depth,
        role: "assistant".to_owned(),
        author_id: None,
        status: "queued".to_owned(),
        parts: serde_json::json!([]),
        stream_sequence: 0,
        created_at: accepted.now,
        edited_at: None,
    };
    let user = turn.user_message.as_ref().map(|message| MessageRow {
        id: message.id,
        parent_id: message.place.parent_id,
        depth: message.place.depth,
        role: "user".to_owned(),
        author_id: Some(turn.viewer),
        status: "succeeded".to_owned(),
        parts: message.parts.clone(),
        ..answer.clone()
    });
    (user, answer)
}

/// The run of an accepted turn.
pub fn generation_of(turn: &NewTurn, accepted: &Accepted, hold: &Hold) -> GenerationRow {
    GenerationRow {
        id: turn.generation_id,
        account_id: turn.account_id,
        user_id: turn.viewer,
        conversation_id: turn.conversation_id,
        message_id: Some(turn.answer_id),
        replica_id: turn.replica_id,
        status: "queued".to_owned(),
        requested_model: turn.requested_model.clone(),
        model_key: turn.model_key.clone(),
        terms: serde_json::json!(turn.quote.terms),
        is_output_capped: hold.is_capped(),
        stop_requested_at: None,
        finish_reason: None,
        error_code: None,
        error_message: None,
        is_retryable: None,
        retry_after_seconds: None,
        input_tokens: None,
        cached_input_tokens: None,
        cache_write_tokens: None,
        output_tokens: None,
        reasoning_tokens: None,
        usage_source: None,
        credits_held: accepted.credits_held,
        credits_charged: None,
        revision: 1,
        purpose: Purpose::Answer.as_str().to_owned(),
        created_at: accepted.now,
        first_output_at: None,
        finished_at: None,
    }
}

/// The conversation after an accepted turn; a one-shot answer has none.
pub fn conversation_of(
    turn: &NewTurn,
    accepted: &Accepted,
    known: Option<ConversationRow>,
) -> Option<ConversationRow> {
    let id = turn.conversation_id?;
    let head_id = Some(turn.answer_id);
    let added = if turn.user_message.is_some() { 2 } else { 1 };
    Some(match known {
        Some(known) => ConversationRow {
            head_id,
            title: known.title.clone().or(turn.title.clone()),
            message_count: known.message_count + added,
            event_sequence: accepted.event_sequence,
            updated_at: accepted.now,
            ..known
        },
        None => ConversationRow {
            id,
            account_id: turn.account_id,
            created_by: turn.viewer,
            title: turn.title.clone(),
            system_prompt: None,
            model_key: turn.conversation_model.clone(),
            head_id,
            message_count: added,
            event_sequence: accepted.event_sequence,
            created_at: accepted.now,
            updated_at: accepted.now,
            options: serde_json::json!({}),
            is_starred: false,
            archived_at: None,
            tags: Vec::new(),
            title_state: TitleState::Open.as_str().to_owned(),
        },
    })
}
