//! Sending a message: read, decide, accept, hand to the engine.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Generations, NewMessage,
    rows::{conversation_of, describe_charge, generation_of, messages_of, title_of},
};
use crate::{
    domains::{
        accounts::Viewer,
        catalog::Model,
        conversations::{ConversationRow, MessageRow, Part, find_conversation, require_model},
        credits::{Balance, Quota, read_counts},
        generations::{
            engine::{Run, attempt_id},
            hub::Place,
            model::{Content, GenerationRow},
            repo::{self, Acceptance, Accepted, Context, NewTurn},
        },
        subscriptions::Payer,
    },
    error::{AppError, Details, ErrorCode, Result},
    platform::{ids::new_uuid, postgres::idempotency::Intent, replica::Identity},
    providers::types::{ChatProvider, ChatRequest},
};

/// A turn whose conversation moved on while it was read, or whose window ended, is read again so often.
const MAX_READS: usize = 8;

/// A turn that was accepted, now or under the same key before.
#[derive(Debug, Clone)]
pub struct Started {
    pub conversation: ConversationRow,
    pub user_message: MessageRow,
    pub answer: MessageRow,
    /// Of the answer: empty at first, more when an earlier result is repeated.
    pub content: Content,
    pub generation: GenerationRow,
    pub balance: Balance,
    /// Limits of the plan that the turn counts in; all of them when an earlier result is repeated.
    pub quotas: Vec<Quota>,
}

/// Result under an idempotency key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TurnIds {
    conversation_id: Uuid,
    user_message_id: Uuid,
    answer_id: Uuid,
}

impl TurnIds {
    pub(super) fn of(started: &Started) -> Self {
        Self {
            conversation_id: started.conversation.id,
            user_message_id: started.user_message.id,
            answer_id: started.answer.id,
        }
    }
}

/// A turn that only has to be written.
struct TurnPlan {
    turn: NewTurn,
    request: ChatRequest,
    provider: Arc<dyn ChatProvider>,
    identity: Identity,
    known: Option<ConversationRow>,
}

impl Generations {
    /// Stores a message and starts the answer, once for an idempotency key.
    pub async fn send_message(&self, viewer: Viewer, new: NewMessage, key: String) -> Result<Started> {
        self.tasks.require_running()?;
        let intent = Intent::try_new("send_message", key, &new)?;
        new.validate()?;
        let this = self.clone();
        self.tasks.run(async move { this.start_turn(viewer, new, intent).await }).await
    }

    async fn start_turn(&self, viewer: Viewer, new: NewMessage, intent: Intent) -> Result<Started> {
        for _ in 0..MAX_READS {
            let account_id = new.account_id.unwrap_or(viewer.personal_account_id());
            let context = {
                let mut conn = self.db.conn().await?;
                repo::read_turn(&mut conn, viewer.user_id, new.conversation_id, account_id, &intent).await?
            };
            if let Some(first) = intent.replay::<TurnIds>(context.stored.clone())? {
                return self.read_turn(viewer, first).await;
            }
            require_access(&new, &context)?;
            let payer = self.payer(&context).await?;
            let plan = self.plan_turn(viewer, &new, &intent, account_id, context, &payer)?;
            // From here on a shutdown waits for this turn, so one that has begun already must be seen now.
            let place = self.hub.open(plan.turn.answer_id, plan.turn.generation_id).ok_or_else(overloaded)?;
            self.tasks.require_running()?;
            let accepted = {
                let mut conn = self.db.conn().await?;
                repo::accept_turn(&mut conn, &plan.turn).await
            };
            match accepted? {
                Acceptance::Accepted(accepted) => return self.launch(plan, place, accepted),
                Acceptance::MovedOn => {}
                // The place in the hub makes the log look often, so it learns of the fence within a moment.
                Acceptance::Fenced => self.log.renewed(plan.turn.replica_id).await?,
                Acceptance::Refused(refusal) => {
                    refusal.count();
                    return Err(refusal.into_error());
                }
            }
        }
        Err(AppError::new(
            ErrorCode::Conflict,
            "Too many messages reach this conversation at once. Please try again.",
        )
        .at("conversationId"))
    }

    /// Decides everything about a turn before it is written.
    fn plan_turn(
        &self,
        viewer: Viewer,
        new: &NewMessage,
        intent: &Intent,
        account_id: Uuid,
        context: Context,
        payer: &Payer,
    ) -> Result<TurnPlan> {
        let known = context.conversation.as_ref();
        let requested = new
            .model
            .as_deref()
            .or(known.and_then(|conversation| conversation.model_key.as_deref()))
            .map_or_else(|| self.catalog.default_model(), str::to_owned);
        let model = require_model(&self.catalog, &requested)?;
        let provider = self.providers.get(&model.provider).cloned().ok_or_else(|| unavailable(&model))?;
        let text = new.parts.join("\n\n");
        let (prompt, quote) = self.price(viewer, new, &context, payer, &model, &text)?;
        let ids = TurnIds {
            conversation_id: known.map_or_else(|| new_uuid(&self.clock), |conversation| conversation.id),
            user_message_id: new_uuid(&self.clock),
            answer_id: new_uuid(&self.clock),
        };
        let generation_id = new_uuid(&self.clock);
        let parts: Vec<Part> = new.parts.iter().map(|text| Part::Text { text: text.clone() }).collect();
        let identity = self.log.identity();
        let turn = NewTurn {
            viewer: viewer.user_id,
            replica_id: identity.replica_id,
            intent: intent.clone(),
            result: serde_json::to_value(&ids).map_err(AppError::internal)?,
            account_id: known.map_or(account_id, |conversation| conversation.account_id),
            conversation_id: ids.conversation_id,
            is_new_conversation: known.is_none(),
            parent_id: known.and_then(|conversation| conversation.head_id),
            title: title_of(&text),
            conversation_model: new.model.clone(),
            user_message_id: ids.user_message_id,
            user_parts: serde_json::json!(parts),
            answer_id: ids.answer_id,
            generation_id,
            requested_model: requested.to_owned(),
            model_key: model.key.clone(),
            quote,
            description: describe_charge(&model.key),
        };
        let request = ChatRequest {
            model: model.upstream_name.clone(),
            messages: prompt.messages,
            temperature: new.options.temperature,
            top_p: new.options.top_p,
            stop: new.options.stop.clone(),
            attempt_id: attempt_id(generation_id),
        };
        Ok(TurnPlan { turn, request, provider, identity, known: context.conversation })
    }

    /// Hands an accepted turn to the engine and answers from memory: no further round trip.
    fn launch(&self, plan: TurnPlan, place: Place, accepted: Accepted) -> Result<Started> {
        let TurnPlan { turn, request, provider, identity, known } = plan;
        let hold = turn.quote.clone().admitted(turn.generation_id, accepted.units, accepted.credits_held);
        let limits = turn.quote.limits();
        let balance = accepted.balance();
        let (user_message, answer) = messages_of(&turn, &accepted);
        let generation = generation_of(&turn, &accepted, &hold);
        let conversation = conversation_of(&turn, &accepted, known);
        let run = Run {
            hold,
            limits: limits.clone(),
            answer: answer.clone(),
            provider,
            request,
            identity,
            place,
            description: turn.description,
        };
        self.engine.spawn(run);
        self.watch.hint(turn.account_id);
        let counts = read_counts(accepted.counts)?;
        self.ceiling_alarm.look(&self.catalog.ceilings(), turn.account_id, &counts, accepted.now);
        let quotas = limits.quotas(&counts);
        let content = Content::of_events([]);
        Ok(Started { conversation, user_message, answer, content, generation, balance, quotas })
    }

    /// A turn that was accepted before, as it stands now.
    pub(super) async fn read_turn(&self, viewer: Viewer, ids: TurnIds) -> Result<Started> {
        let mut conn = self.db.conn().await?;
        let gone = || AppError::not_found("idempotencyKey", "message");
        let conversation =
            find_conversation(&mut conn, viewer.user_id, ids.conversation_id).await?.ok_or_else(gone)?;
        let user =
            repo::find_watched(&mut conn, viewer.user_id, ids.user_message_id, 0).await?.ok_or_else(gone)?;
        let answer =
            repo::find_watched(&mut conn, viewer.user_id, ids.answer_id, 0).await?.ok_or_else(gone)?;
        let content = match answer.message.status().is_terminal() {
            true => Content::of_finished(&answer.message),
            false => Content::of_events(&answer.events),
        };
        drop(conn);
        let quotas = self.subscriptions.quotas(viewer.user_id, conversation.account_id).await?;
        Ok(Started {
            conversation,
            user_message: user.message,
            answer: answer.message,
            content,
            generation: answer.generation.ok_or_else(gone)?,
            balance: answer.balance,
            quotas: quotas.unwrap_or_default(),
        })
    }
}

fn overloaded() -> AppError {
    AppError::unavailable(anyhow::anyhow!("this process runs as many answers as it can"))
}

fn unavailable(model: &Model) -> AppError {
    AppError::new(
        ErrorCode::ProviderUnavailable,
        format!("No provider of the model `{}` answers.", model.key),
    )
    .with_details(Details::Provider { model: model.key.clone(), retry_after: None })
}

/// A conversation that is not the viewer's does not exist; an account that may not be spent from refuses.
fn require_access(new: &NewMessage, context: &Context) -> Result<()> {
    if new.conversation_id.is_some() && context.conversation.is_none() {
        return Err(AppError::not_found("conversationId", "conversation"));
    }
    match (context.is_member, new.conversation_id) {
        (true, _) => Ok(()),
        (false, None) => Err(AppError::not_found("accountId", "account")),
        (false, Some(_)) => {
            Err(AppError::new(ErrorCode::RoleForbids, "Your role in this account does not allow this."))
        }
    }
}
