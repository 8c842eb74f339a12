//! Watching an answer, and its run.

use async_graphql::{Context, Result, Subscription};
use futures_util::{Stream, StreamExt};

use super::{events::MessageStreamEvent, types::Generation};
use crate::{
    domains::{
        conversations::MessageRow,
        generations::{GenerationRow, Generations},
    },
    error::{AppError, ErrorCode},
    graphql::{
        ContextExt,
        access::{AccessLevel, Declared, access},
        errors::raise,
    },
    platform::ids::Id,
};

#[derive(Default)]
pub struct GenerationsSubscription;

#[Subscription(guard = "Declared")]
impl GenerationsSubscription {
    /// Log of one message being written; watching costs nothing, changes nothing and may be resumed.
    #[graphql(directive = access::apply(AccessLevel::User))]
    async fn message_stream(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Message to watch.")] message_id: Id<MessageRow>,
        #[graphql(desc = "Sequence of the last event the client has; a snapshot comes first when absent.")]
        after: Option<i32>,
    ) -> Result<impl Stream<Item = Result<MessageStreamEvent>> + use<>> {
        let events =
            ctx.handle::<Generations>().watch(ctx.viewer(), message_id.0, after).await.map_err(raise)?;
        let missing = || AppError::new(ErrorCode::BadUserInput, "This message does not exist.");
        let events = events.ok_or_else(missing).map_err(raise)?;
        Ok(events.map(move |event| match event {
            Ok(event) => Ok(MessageStreamEvent::new(message_id, event)),
            Err(error) => Err(raise(error)),
        }))
    }

    /// A model call: its state now, then each newer one; completes when it ends.
    #[graphql(directive = access::apply(AccessLevel::User))]
    async fn generation_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Run to watch.")] generation_id: Id<GenerationRow>,
    ) -> Result<impl Stream<Item = Result<Generation>> + use<>> {
        let states = ctx.handle::<Generations>().watch_generation(ctx.viewer(), generation_id.0).await;
        let missing = || AppError::new(ErrorCode::BadUserInput, "This generation does not exist.");
        let states = states.and_then(|states| states.ok_or_else(missing)).map_err(raise)?;
        Ok(states.map(|state| state.map(Generation::of_row).map_err(raise)))
    }
}
