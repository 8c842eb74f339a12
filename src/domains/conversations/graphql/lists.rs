//! Lists of conversations, and choosing among them.

use std::sync::Arc;

use async_graphql::{Context, InputObject, Object, Result};
use chrono::DateTime as Instant;
use uuid::Uuid;

use super::types::{Conversation, ConversationConnection};
use crate::{
    domains::{
        accounts::graphql::AccountRef,
        conversations::{ConversationChoice, ConversationPage, ConversationRow, require_tags},
    },
    error::AppError,
    graphql::{
        ContextExt,
        errors::raise,
        pagination::{PageKey, bad_input, decode_cursor, encode_cursor, page_size, row_limit},
    },
};

/// Longest text that titles are searched for.
const MAX_TITLE_CHARS: usize = 200;

/// Choice among conversations; absent fields do not choose.
#[derive(InputObject)]
pub struct ConversationFilter {
    /// Only favourites, or only others.
    is_starred: Option<bool>,
    /// Only those put away, or only others; null for both.
    #[graphql(default_with = "Some(false)")]
    is_archived: Option<bool>,
    /// Only those with all these labels, at most 20.
    tags: Option<Vec<String>>,
    /// Only titles with all these words, at most 200 characters.
    title: Option<String>,
    /// Only those the caller started, or only others.
    is_mine: Option<bool>,
}

impl ConversationFilter {
    fn into_choice(self) -> Result<ConversationChoice> {
        let tags = require_tags(self.tags.unwrap_or_default());
        let tags =
            tags.map_err(|error: AppError| bad_input(format!("`filter.tags`: {}", error.message())))?;
        let words = self.title.map(|title| words(&title)).transpose()?;
        Ok(ConversationChoice {
            is_starred: self.is_starred,
            is_archived: self.is_archived,
            is_mine: self.is_mine,
            tags,
            words: words.unwrap_or_default(),
        })
    }
}

fn words(title: &str) -> Result<Vec<String>> {
    if title.chars().count() > MAX_TITLE_CHARS || title.contains('\0') {
        let why = "`filter.title` has at most 200 characters, and none of them is NUL.";
        return Err(bad_input(why.to_owned()));
    }
    Ok(title.split_whitespace().map(str::to_owned).collect())
}

/// Conversations of an account.
#[derive(Clone)]
pub struct AccountConversations(pub AccountRef);

#[Object]
impl AccountConversations {
    /// Conversations the caller may open in this account, latest message first.
    async fn conversations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Choice; those not put away when absent.")] filter: Option<ConversationFilter>,
        #[graphql(desc = "At most this many, 1 to 100.", default = 25)] first: Option<i32>,
        #[graphql(desc = "Cursor to read on from.")] after: Option<String>,
    ) -> Result<ConversationConnection> {
        let open = ConversationChoice { is_archived: Some(false), ..ConversationChoice::default() };
        let choice = filter.map_or(Ok(open), ConversationFilter::into_choice)?;
        let list = format!("conversations.{}", self.0.row.id.simple());
        let size = page_size("first", first)?;
        let after = after.as_deref().map(|cursor| decode_cursor(&list, cursor, read_place)).transpose()?;
        let page = ConversationPage { limit: row_limit(size), after, choice };
        let key = PageKey { owner: self.0.row.id, page };
        let mut rows =
            ctx.loaders().conversation_pages.load_one(key).await.map_err(raise)?.unwrap_or_default();
        let has_next = rows.len() > size;
        rows.truncate(size);
        let item = |row: Arc<ConversationRow>| {
            let cursor = format!("{}.{}", row.updated_at.timestamp_micros(), row.id.simple());
            (Conversation(row), encode_cursor(&list, &cursor))
        };
        Ok(ConversationConnection::new(rows.into_iter().map(item).collect(), after.is_some(), has_next))
    }
}

/// Time of the last change and id.
fn read_place(place: &str) -> Option<(Instant<chrono::Utc>, Uuid)> {
    let (micros, id) = place.split_once('.')?;
    Some((Instant::from_timestamp_micros(micros.parse().ok()?)?, Uuid::try_parse(id).ok()?))
}
