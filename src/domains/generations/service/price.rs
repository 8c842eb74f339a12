//! The plan in force, what it lets through of a message, and what the answer may cost.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use uuid::Uuid;

use super::{Generations, NewMessage};
use crate::{
    domains::{
        accounts::Viewer,
        catalog::{Model, Plan},
        credits::{self, Anchors, Call, Credits, Quota, Quote},
        generations::{
            prompt::{self, Prompt, Reserve},
            repo::Context,
        },
    },
    error::{AppError, Details, ErrorCode, Result},
};

/// The plan that an account has now, and from where its windows are counted.
struct InForce {
    plan: Arc<Plan>,
    anchors: Anchors,
}

impl Generations {
    /// The plan of an account that was made at `sign_up`.
    fn plan_in_force(&self, sign_up: DateTime<Utc>, now: DateTime<Utc>) -> InForce {
        let period = credits::month_since(sign_up, now);
        InForce {
            plan: self.catalog.default_plan(),
            anchors: Anchors { sign_up, subscription: sign_up, period },
        }
    }

    /// What is sent to the model, and what it may cost.
    pub(super) fn price(
        &self,
        viewer: Viewer,
        new: &NewMessage,
        context: &Context,
        model: &Model,
        text: &str,
    ) -> Result<(Prompt, Quote)> {
        let now = self.clock.now();
        let InForce { plan, anchors } = self.plan_in_force(context.account_created_at.unwrap_or(now), now);
        let ceilings = self.catalog.ceilings();
        let cap = Call::output_cap(model, &plan, &ceilings);
        let wished = new.options.max_output_tokens.unwrap_or(cap).min(cap);
        let reserve = Reserve::new(model, plan.content.min_output_tokens.min(cap), wished);
        let system_prompt = context.conversation.as_ref().and_then(|known| known.system_prompt.as_deref());
        let most = Call::input_cap(&plan, &ceilings);
        let prompt = prompt::build(model, system_prompt, &context.history, text, reserve.within(most))?;
        let wanted = wished.min(model.context_tokens.saturating_sub(prompt.tokens));
        let quote = Quote::new(&Call {
            model,
            plan: &plan,
            ceilings: &ceilings,
            anchors: &anchors,
            now,
            user_id: viewer.user_id,
            prompt_tokens: prompt.tokens,
            wanted: Some(wanted),
            is_new_conversation: context.conversation.is_none(),
        });
        let quote = match new.options.max_credits {
            None => quote,
            Some(limit) => {
                let required = quote.least();
                quote.at_most(limit).ok_or_else(|| beyond_budget(required, limit))?
            }
        };
        Ok((prompt, quote))
    }

    /// Every limit of the plan of an account, as it stands for the viewer.
    pub(super) async fn quotas(
        &self,
        conn: &mut AsyncPgConnection,
        viewer: Viewer,
        account_id: Uuid,
    ) -> Result<Vec<Quota>> {
        let Some(found) = credits::find_counts(conn, viewer.user_id, account_id).await? else {
            return Ok(Vec::new());
        };
        let now = self.clock.now();
        let InForce { plan, anchors } = self.plan_in_force(found.account_created_at, now);
        Ok(credits::quotas_of_plan(&plan, &found.counts, &anchors, now))
    }
}

fn beyond_budget(required: i64, available: i64) -> AppError {
    let message = format!(
        "This needs at least {} credits, and {} are available.",
        Credits(required),
        Credits(available)
    );
    AppError::new(ErrorCode::InsufficientCredits, message)
        .with_details(Details::Credits { required, available })
        .at("options.maxCredits")
}
