//! Watching a conversation.

use async_graphql::{Context, Result, Subscription};
use futures_util::{Stream, StreamExt};

use super::events::ConversationEvent;
use crate::{
    domains::conversations::{ConversationRow, Conversations},
    error::{AppError, ErrorCode},
    graphql::{
        ContextExt,
        access::{AccessLevel, Declared, access},
        errors::raise,
    },
    platform::ids::Id,
};

#[derive(Default)]
pub struct ConversationsSubscription;

#[Subscription(guard = "Declared")]
impl ConversationsSubscription {
    /// Log of a conversation for several devices and people.
    #[graphql(directive = access::apply(AccessLevel::User))]
    async fn conversation_stream(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Conversation to watch.")] conversation_id: Id<ConversationRow>,
        #[graphql(desc = "Sequence of the last event the client has; a snapshot comes first when absent.")]
        after: Option<i32>,
    ) -> Result<impl Stream<Item = Result<ConversationEvent>> + use<>> {
        let events = ctx.handle::<Conversations>().watch(ctx.viewer(), conversation_id.0, after).await;
        let missing = || AppError::new(ErrorCode::BadUserInput, "This conversation does not exist.");
        let events = events.and_then(|events| events.ok_or_else(missing)).map_err(raise)?;
        Ok(events.map(|event| event.map(ConversationEvent::from).map_err(raise)))
    }
}
