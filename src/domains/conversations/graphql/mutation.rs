//! Writes of conversations.

use std::sync::Arc;

use async_graphql::{Context, Object, Result};

use super::{
    inputs::{CreateConversationInput, EditMessageInput, UpdateConversationInput, texts},
    types::{Conversation, ConversationPayload, MessagePayload},
};
use crate::{
    domains::{
        conversations::{Begun, ConversationRow, Conversations, MessageRow},
        credits::{
            Quota,
            graphql::{balance_of, shown, standing_of},
        },
    },
    error::AppError,
    graphql::{
        ContextExt, Message,
        access::{AccessLevel, Declared, access},
        errors::split,
        payloads::{DeletePayload, IdInput},
    },
};

#[derive(Default)]
pub struct ConversationsMutation;

#[Object(guard = "Declared")]
impl ConversationsMutation {
    /// Creates an empty conversation.
    #[graphql(directive = access::apply(AccessLevel::User))]
    async fn create_conversation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "New conversation.")] input: CreateConversationInput,
    ) -> Result<ConversationPayload> {
        let result = match input.into_new() {
            Ok((new, key)) => ctx.handle::<Conversations>().create(ctx.viewer(), new, key).await,
            Err(error) => Err(error),
        };
        let result = result.map(|Begun { conversation, quotas }| (conversation, quotas));
        payload(ctx, result).await
    }

    /// Renames, stars, archives, labels or configures a conversation.
    #[graphql(directive = access::apply(AccessLevel::User))]
    async fn update_conversation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Changes.")] input: UpdateConversationInput,
    ) -> Result<ConversationPayload> {
        let id = input.conversation_id.0;
        let result = match input.into_changes() {
            Ok(changes) => ctx.handle::<Conversations>().update(ctx.viewer(), id, changes).await,
            Err(error) => Err(error),
        };
        // A change draws on nothing.
        let result = result.map(|row| (row, Vec::new()));
        payload(ctx, result).await
    }

    /// Removes a conversation with its messages and share links, stopping answers in progress.
    #[graphql(directive = access::apply(AccessLevel::User))]
    async fn delete_conversation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Conversation.")] input: IdInput,
    ) -> Result<DeletePayload> {
        let result = match input.parse::<ConversationRow>() {
            Ok(id) => ctx.handle::<Conversations>().delete(ctx.viewer(), id.0).await,
            Err(error) => Err(error),
        };
        Ok(match split(ctx, result)? {
            Ok(()) => DeletePayload { deleted_id: Some(input.id), user_errors: Vec::new() },
            Err(user_errors) => DeletePayload { deleted_id: None, user_errors },
        })
    }

    /// Shows the branch through a message; its newest descendant becomes `head`.
    #[graphql(directive = access::apply(AccessLevel::User))]
    async fn select_branch(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Message.")] input: IdInput,
    ) -> Result<ConversationPayload> {
        let result = match input.parse::<MessageRow>() {
            Ok(id) => ctx.handle::<Conversations>().select_branch(ctx.viewer(), id.0).await,
            Err(error) => Err(error),
        };
        payload(ctx, result.map(|row| (row, Vec::new()))).await
    }

    /// Corrects an own message in place.
    #[graphql(directive = access::apply(AccessLevel::User))]
    async fn edit_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Correction.")] input: EditMessageInput,
    ) -> Result<MessagePayload> {
        let (id, parts) = (input.message_id.0, texts(input.parts));
        let result = ctx.handle::<Conversations>().edit_message(ctx.viewer(), id, parts).await;
        Ok(match split(ctx, result)? {
            Ok(row) => {
                MessagePayload { message: Some(Message::of_row(Arc::new(row))), user_errors: Vec::new() }
            }
            Err(user_errors) => MessagePayload { message: None, user_errors },
        })
    }

    /// Removes a message and all that follows it in every branch.
    #[graphql(directive = access::apply(AccessLevel::User))]
    async fn delete_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Message.")] input: IdInput,
    ) -> Result<DeletePayload> {
        let result = match input.parse::<MessageRow>() {
            Ok(id) => ctx.handle::<Conversations>().delete_message(ctx.viewer(), id.0).await,
            Err(error) => Err(error),
        };
        Ok(match split(ctx, result)? {
            Ok(()) => DeletePayload { deleted_id: Some(input.id), user_errors: Vec::new() },
            Err(user_errors) => DeletePayload { deleted_id: None, user_errors },
        })
    }
}

async fn payload(
    ctx: &Context<'_>,
    result: Result<(ConversationRow, Vec<Quota>), AppError>,
) -> Result<ConversationPayload> {
    let (credit_balance, refused_quotas) = standing_of(&result);
    Ok(match split(ctx, result)? {
        Ok((row, quotas)) => ConversationPayload {
            credit_balance: balance_of(ctx, row.account_id).await?,
            conversation: Some(Conversation(Arc::new(row))),
            quotas: shown(quotas),
            user_errors: Vec::new(),
        },
        Err(user_errors) => {
            ConversationPayload { conversation: None, credit_balance, quotas: refused_quotas, user_errors }
        }
    })
}
