//! Reads of conversations and messages.

use async_graphql::{Context, Object, Result};

use super::types::Conversation;
use crate::{
    domains::conversations::{ConversationRow, MessageRow},
    graphql::{
        ContextExt, Message,
        access::{AccessLevel, Declared, access},
        errors::raise,
    },
    platform::ids::Id,
};

#[derive(Default)]
pub struct ConversationsQuery;

#[Object(guard = "Declared")]
impl ConversationsQuery {
    /// A conversation the caller may open, or null.
    #[graphql(directive = access::apply(AccessLevel::User))]
    async fn conversation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Id of the conversation.")] id: Id<ConversationRow>,
    ) -> Result<Option<Conversation>> {
        Ok(ctx.loaders().conversations.load_one(id.0).await.map_err(raise)?.map(Conversation))
    }

    /// A message the caller may read, or null; also the way to poll an answer.
    #[graphql(directive = access::apply(AccessLevel::User))]
    async fn message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Id of the message.")] id: Id<MessageRow>,
    ) -> Result<Option<Message>> {
        Ok(ctx.loaders().messages.load_one(id.0).await.map_err(raise)?.map(Message::of_row))
    }
}
