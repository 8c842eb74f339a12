//! The plan in force, what it lets through of a message, and what the answer may cost.

use uuid::Uuid;

use super::Generations;
use crate::{
    domains::{
        catalog::Model,
        conversations::AnswerOptions,
        credits::{Call, Credits, Quote},
        generations::{
            bounds,
            prompt::{self, PastTurn, Prompt, Reserve},
            repo::Context,
        },
        subscriptions::Payer,
    },
    error::{AppError, Details, ErrorCode, Result},
};

/// A call of a model that is to be priced.
pub struct Ask<'a> {
    /// In whose name it is made.
    pub user_id: Uuid,
    pub model: &'a Model,
    pub options: &'a AnswerOptions,
    pub system_prompt: Option<&'a str>,
    /// What was said before, oldest first.
    pub history: &'a [PastTurn],
    pub text: &'a str,
    /// Where the text stands in the input, for who is told that it is too long.
    pub path: &'a str,
    pub is_new_conversation: bool,
}

impl Generations {
    /// As much history as any model here could be sent, in bytes. Text is stored as small as it is or smaller.
    pub(super) fn history_bytes(&self) -> i32 {
        let largest =
            self.catalog.models().iter().map(|model| model.context_tokens).max().unwrap_or_default();
        let tokens = self.catalog.ceilings().input_tokens.map_or(largest, |most| most.min(largest));
        let bytes = tokens.saturating_mul(bounds::BYTES_OF_HISTORY).min(bounds::MAX_HISTORY_BYTES);
        i32::try_from(bytes).unwrap_or(i32::MAX)
    }

    /// What the account that pays has, once what is due is done.
    pub(super) async fn payer(&self, context: &Context) -> Result<Payer> {
        let gone = || AppError::not_found("accountId", "account");
        let (sign_up, subscription) = context.payer.clone().ok_or_else(gone)?;
        let in_force = self.subscriptions.current_at(subscription, context.now).await?;
        Ok(in_force.into_payer(sign_up, context.now))
    }

    /// What is sent to the model, and what it may cost.
    pub(super) fn price(&self, payer: &Payer, ask: &Ask<'_>) -> Result<(Prompt, Quote)> {
        let Payer { plan, anchors, now, until } = payer;
        let Ask { model, options, .. } = *ask;
        plan.require(model)?;
        let ceilings = self.catalog.ceilings();
        let cap = Call::output_cap(model, plan, &ceilings);
        let wished = options.max_output_tokens.unwrap_or(cap).min(cap);
        let reserve = Reserve::new(model, plan.content.min_output_tokens.min(cap), wished);
        let most = Call::input_cap(plan, &ceilings);
        let prompt = prompt::build(model, ask.system_prompt, ask.history, ask.text, reserve.within(most))
            .map_err(|error| error.at(ask.path))?;
        let wanted = wished.min(model.context_tokens.saturating_sub(prompt.tokens));
        let quote = Quote::new(&Call {
            model,
            plan,
            ceilings: &ceilings,
            anchors,
            now: *now,
            until: *until,
            user_id: ask.user_id,
            prompt_tokens: prompt.held(),
            wanted: Some(wanted),
            is_new_conversation: ask.is_new_conversation,
        });
        let quote = match options.max_credits {
            None => quote,
            Some(limit) => {
                let required = quote.least();
                quote.at_most(limit).ok_or_else(|| beyond_budget(required, limit))?
            }
        };
        Ok((prompt, quote))
    }
}

fn beyond_budget(required: i64, available: i64) -> AppError {
    let message = format!(
        "This needs at least {} credits, and `maxCredits` allows {}.",
        Credits(required),
        Credits(available)
    );
    AppError::new(ErrorCode::InsufficientCredits, message)
        .with_details(Details::Credits { required, available })
        .at("options.maxCredits")
}
