//! Sending and stopping.

use std::sync::Arc;

use async_graphql::{Context, Object, Result};

use super::{
    inputs::{GenerateInput, RegenerateMessageInput, SendMessageInput},
    types::{Generation, GenerationPayload, SendMessagePayload},
};
use crate::{
    domains::{
        conversations::graphql::Conversation,
        credits::graphql::{CreditBalance, balance_of, shown, standing_of},
        generations::{Canceled, GenerationRow, Generations, Started, TurnRequest},
    },
    error::AppError,
    graphql::{
        ContextExt, Message,
        access::{AccessLevel, Declared, access},
        admission::cost::cost,
        errors::split,
        payloads::IdInput,
    },
};

#[derive(Default)]
pub struct GenerationsMutation;

#[Object(guard = "Declared")]
impl GenerationsMutation {
    /// Stores a message and starts the answer; both come back at once and the answer is watched with `messageStream`.
    #[graphql(directive = access::apply(AccessLevel::User), directive = cost::apply("10".to_owned()))]
    async fn send_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Message.")] input: SendMessageInput,
    ) -> Result<SendMessagePayload> {
        start(ctx, input.into_request()).await
    }

    /// Answers the same message again, as a new branch.
    #[graphql(directive = access::apply(AccessLevel::User), directive = cost::apply("10".to_owned()))]
    async fn regenerate_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Answer to replace.")] input: RegenerateMessageInput,
    ) -> Result<SendMessagePayload> {
        start(ctx, input.into_request()).await
    }

    /// Calls a language model once, outside any conversation; the answer is watched like any message.
    #[graphql(directive = access::apply(AccessLevel::User), directive = cost::apply("10".to_owned()))]
    async fn generate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Call.")] input: GenerateInput,
    ) -> Result<GenerationPayload> {
        let result = begin(ctx, input.into_request()).await;
        let (credit_balance, quotas) = standing_of(&result);
        Ok(match split(ctx, result)? {
            Ok(started) => called(wait(ctx, started).await),
            Err(user_errors) => GenerationPayload { generation: None, credit_balance, quotas, user_errors },
        })
    }

    /// Stops a model call of any kind from any device; what was made is kept and charged, the rest returned.
    #[graphql(directive = access::apply(AccessLevel::User))]
    async fn cancel_generation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Run.")] input: IdInput,
    ) -> Result<GenerationPayload> {
        let result: Result<Canceled, AppError> = match input.parse::<GenerationRow>() {
            Ok(id) => ctx.handle::<Generations>().cancel(ctx.viewer(), id.0).await,
            Err(error) => Err(error),
        };
        Ok(match split(ctx, result)? {
            Ok(Canceled { generation, quotas }) => {
                let credit_balance = balance_of(ctx, generation.account_id).await?;
                GenerationPayload {
                    generation: Some(Generation::of_row(Arc::new(generation))),
                    credit_balance,
                    quotas: shown(quotas),
                    user_errors: Vec::new(),
                }
            }
            Err(user_errors) => {
                GenerationPayload { generation: None, credit_balance: None, quotas: Vec::new(), user_errors }
            }
        })
    }
}

/// Starts a turn, once what was asked for could be read.
async fn begin(
    ctx: &Context<'_>,
    request: Result<(TurnRequest, String), AppError>,
) -> Result<Started, AppError> {
    let (request, key) = request?;
    ctx.handle::<Generations>().answer(ctx.viewer(), request, key).await
}

/// Starts a turn of a conversation.
async fn start(
    ctx: &Context<'_>,
    request: Result<(TurnRequest, String), AppError>,
) -> Result<SendMessagePayload> {
    let result = begin(ctx, request).await;
    let (credit_balance, quotas) = standing_of(&result);
    Ok(match split(ctx, result)? {
        Ok(started) => sent(wait(ctx, started).await),
        Err(user_errors) => SendMessagePayload {
            conversation: None,
            user_message: None,
            assistant_message: None,
            credit_balance,
            quotas,
            user_errors,
        },
    })
}

/// What was accepted, or what has become of it when the caller would rather wait.
async fn wait(ctx: &Context<'_>, started: Started) -> Started {
    match &ctx.caller().patience {
        None => started,
        Some(patience) => {
            let generations = ctx.handle::<Generations>();
            generations.wait_for_answer(ctx.viewer(), started, patience.is_over()).await
        }
    }
}

/// Shows what was accepted without another look at the database.
fn sent(started: Started) -> SendMessagePayload {
    let account_id = started.answer.account_id;
    SendMessagePayload {
        conversation: started.conversation.map(|conversation| Conversation(Arc::new(conversation))),
        user_message: started.user_message.map(|message| Message::of_row(Arc::new(message))),
        assistant_message: Some(Message::at(
            started.answer,
            started.content,
            Some(Arc::new(started.generation)),
        )),
        credit_balance: Some(CreditBalance { account_id, balance: started.balance }),
        quotas: shown(started.quotas),
        user_errors: Vec::new(),
    }
}

/// The same of a call outside any conversation.
fn called(started: Started) -> GenerationPayload {
    let account_id = started.answer.account_id;
    let generation = Arc::new(started.generation);
    let message = Message::at(started.answer, started.content, Some(generation.clone()));
    GenerationPayload {
        generation: Some(Generation::with_message(generation, message)),
        credit_balance: Some(CreditBalance { account_id, balance: started.balance }),
        quotas: shown(started.quotas),
        user_errors: Vec::new(),
    }
}
