//! Asking a model for an answer: read, decide, accept, hand to the engine.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    Generations, TurnRequest,
    price::Ask,
    rows::{conversation_of, generation_of, messages_of, title_of},
    started::{Started, TurnIds},
    submission::submission,
};
use crate::{
    domains::{
        accounts::Viewer,
        catalog::Model,
        conversations::{self, ConversationRow, Part, Spine, TitleState, require_model},
        credits::read_counts,
        generations::{
            bounds,
            engine::{Run, attempt_id},
            hub::Place,
            model::{Content, Purpose},
            prompt::PastTurn,
            repo::{self, Acceptance, Accepted, Asked, Context, Follows, NewTurn, NewUserMessage},
        },
        moderation::Allowed,
        subscriptions::Payer,
    },
    error::{AppError, Details, ErrorCode, Result},
    platform::{ids::new_uuid, postgres::idempotency::Intent, replica::Identity},
    providers::types::{ChatProvider, ChatRequest},
};

/// A turn that only has to be written.
struct TurnPlan {
    turn: NewTurn,
    request: ChatRequest,
    provider: Arc<dyn ChatProvider>,
    identity: Identity,
}

impl Generations {
    /// Stores the message, if there is a new one, and starts the answer, once for an idempotency key.
    pub async fn answer(&self, viewer: Viewer, new: TurnRequest, key: String) -> Result<Started> {
        self.tasks.require_running()?;
        let operation = match new.follows {
            Follows::SameAs(_) => "regenerate_message",
            Follows::Head | Follows::Message(_) | Follows::Nothing if new.one_shot.is_some() => "generate",
            Follows::Head | Follows::Message(_) | Follows::Nothing => "send_message",
        };
        let intent = Intent::try_new(operation, key, &new)?;
        new.validate()?;
        let this = self.clone();
        self.tasks.run(async move { this.start_turn(viewer, new, intent).await }).await
    }

    async fn start_turn(&self, viewer: Viewer, new: TurnRequest, intent: Intent) -> Result<Started> {
        for _ in 0..bounds::MAX_READS {
            let account_id = new.account_id.unwrap_or(viewer.personal_account_id());
            let context = {
                let mut conn = self.db.conn().await?;
                let asked = Asked {
                    viewer: viewer.user_id,
                    conversation_id: new.conversation_id,
                    account_id,
                    follows: new.follows,
                    history_bytes: self.history_bytes(),
                    intent: &intent,
                };
                repo::read_turn(&mut conn, asked).await?
            };
            if let Some(first) = intent.replay::<TurnIds>(context.stored.clone())? {
                return self.read_turn(viewer, first).await;
            }
            require_access(&new, &context)?;
            require_place(&new, &context)?;
            let payer = self.payer(&context).await?;
            let plan = self.plan_turn(viewer, &new, &intent, account_id, &context, &payer)?;
            let allowed =
                self.moderation.check(&submission(viewer, plan.turn.account_id, &new, &context)).await?;
            // From here on a shutdown waits for this turn, so one that has begun already must be seen now.
            let place = self.hub.open(plan.turn.answer_id, plan.turn.generation_id).ok_or_else(overloaded)?;
            self.tasks.require_running()?;
            let accepted = {
                let mut conn = self.db.conn().await?;
                repo::accept_turn(&mut conn, &plan.turn).await
            };
            match accepted? {
                Acceptance::Accepted(accepted) => {
                    return self.launch(plan, allowed, context, place, accepted);
                }
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
        new: &TurnRequest,
        intent: &Intent,
        account_id: Uuid,
        context: &Context,
        payer: &Payer,
    ) -> Result<TurnPlan> {
        let known = context.conversation.as_ref();
        let requested = new
            .model
            .as_deref()
            .or(context.answered_by.as_deref())
            .or(known.and_then(|conversation| conversation.model_key.as_deref()))
            .map_or_else(|| self.catalog.default_model(), str::to_owned);
        let model = require_model(&self.catalog, &requested)?;
        let provider = self.providers.get(&model.provider).cloned().ok_or_else(|| unavailable(&model))?;
        let options = known.map(ConversationRow::options).unwrap_or_default();
        let options = new.options.clone().or(options);
        let (history, text) = question(new, &context.history);
        let ask = Ask {
            user_id: viewer.user_id,
            model: &model,
            options: &options,
            system_prompt: match &new.one_shot {
                Some(one_shot) => one_shot.system_prompt.as_deref(),
                None => known.and_then(|conversation| conversation.system_prompt.as_deref()),
            },
            history,
            text: &text,
            path: &new.asked_path(),
            is_new_conversation: new.is_new_conversation(known),
        };
        let (prompt, quote) = self.price(payer, &ask)?;
        let generation_id = new_uuid(&self.clock);
        let (user_message, answer_id, answer_place) = self.place(new, context.spine.clone());
        let asked_id = user_message.as_ref().map(|message| message.id);
        let is_new_conversation = new.is_new_conversation(known);
        let ids = TurnIds {
            conversation_id: match known {
                Some(conversation) => Some(conversation.id),
                None => is_new_conversation.then(|| new_uuid(&self.clock)),
            },
            user_message_id: asked_id.or(context.parent.as_ref().map(|parent| parent.id)),
            answer_id,
        };
        let identity = self.log.identity();
        let turn = NewTurn {
            viewer: viewer.user_id,
            replica_id: identity.replica_id,
            intent: intent.clone(),
            result: serde_json::to_value(&ids).map_err(AppError::internal)?,
            account_id: known.map_or(account_id, |conversation| conversation.account_id),
            conversation_id: ids.conversation_id,
            is_new_conversation,
            parent_id: context.parent.as_ref().map(|parent| parent.id),
            is_at_head: new.follows == Follows::Head,
            title: title_of(&text),
            conversation_model: new.model.clone(),
            user_message,
            answer_id: ids.answer_id,
            answer_place,
            generation_id,
            requested_model: requested.to_owned(),
            model_key: model.key.clone(),
            estimated_input_tokens: prompt.estimated,
            quote,
            description: Purpose::Answer.describe(&model.key),
        };
        let request = ChatRequest {
            model: model.upstream_name.clone(),
            messages: prompt.messages,
            temperature: options.temperature,
            top_p: options.top_p,
            stop: options.stop.unwrap_or_default(),
            attempt_id: attempt_id(generation_id),
        };
        Ok(TurnPlan { turn, request, provider, identity })
    }

    /// The new message, if there is one, and the answer behind it, whose id is the newer.
    fn place(&self, new: &TurnRequest, spine: Spine) -> (Option<NewUserMessage>, Uuid, conversations::Place) {
        let id = new_uuid(&self.clock);
        if new.one_shot.is_some() || matches!(new.follows, Follows::SameAs(_)) {
            return (None, id, spine.follow(id).0);
        }
        let (place, spine) = spine.follow(id);
        let parts: Vec<Part> = new.parts.iter().map(|text| Part::Text { text: text.clone() }).collect();
        let message = NewUserMessage { id, place, parts: serde_json::json!(parts) };
        let answer_id = new_uuid(&self.clock);
        (Some(message), answer_id, spine.follow(answer_id).0)
    }

    /// Hands an accepted turn to the engine and answers from memory: no further round trip.
    fn launch(
        &self,
        plan: TurnPlan,
        allowed: Allowed,
        context: Context,
        place: Place,
        accepted: Accepted,
    ) -> Result<Started> {
        let TurnPlan { turn, request, provider, identity } = plan;
        let hold = turn.quote.clone().admitted(turn.generation_id, accepted.units, accepted.credits_held);
        let (limits, balance) = (turn.quote.limits(), accepted.balance());
        let (user_message, answer) = messages_of(&turn, &accepted);
        let user_message = user_message.or(context.parent);
        let generation = generation_of(&turn, &accepted, &hold);
        let conversation = conversation_of(&turn, &accepted, context.conversation);
        let run = Run {
            hold,
            allowed,
            answer: Some(answer.clone()),
            provider,
            request,
            identity,
            place,
            limit: self.engine.limit,
            description: turn.description,
            is_untitled: conversation
                .as_ref()
                .is_some_and(|known| known.title_state == TitleState::Open.as_str()),
        };
        self.engine.spawn(run);
        self.watches.hint(&generation);
        let counts = read_counts(accepted.counts)?;
        self.ceiling_alarm.look(&self.catalog.ceilings(), turn.account_id, &counts, accepted.now);
        let quotas = limits.quotas(&counts);
        let content = Content::of_events([]);
        Ok(Started { conversation, user_message, answer, content, generation, balance, quotas })
    }
}

pub(super) fn overloaded() -> AppError {
    AppError::unavailable(anyhow::anyhow!("this process runs as many answers as it can"))
}

fn unavailable(model: &Model) -> AppError {
    AppError::new(
        ErrorCode::ProviderUnavailable,
        format!("No provider of the model `{}` answers.", model.key),
    )
    .with_details(Details::Provider { model: model.key.clone(), retry_after: None })
}

/// What the model is to answer, and what was said before it, oldest first.
fn question<'a>(new: &'a TurnRequest, history: &'a [PastTurn]) -> (&'a [PastTurn], String) {
    match (new.follows, history.split_last()) {
        (Follows::SameAs(_), Some((asked, before))) => (before, Part::joined_text(&asked.parts)),
        _ => {
            let before = new.one_shot.as_ref().map_or(history, |one_shot| &one_shot.turns);
            (before, new.parts.join("\n\n"))
        }
    }
}

/// The message to follow is one of the conversation, and more may follow it.
fn require_place(new: &TurnRequest, context: &Context) -> Result<()> {
    let field = match new.follows {
        Follows::Message(_) if context.parent.is_none() => {
            return Err(AppError::not_found("parentMessageId", "message"));
        }
        Follows::SameAs(_) if context.parent.is_none() || context.answered_by.is_none() => {
            return Err(AppError::not_found("messageId", "answer"));
        }
        Follows::SameAs(_) => "messageId",
        Follows::Head | Follows::Message(_) | Follows::Nothing => "parentMessageId",
    };
    if context.siblings >= bounds::MAX_SIBLINGS {
        return Err(AppError::invalid(field, "A message has at most 100 alternatives."));
    }
    Ok(())
}

/// A conversation that is not the viewer's does not exist; an account that may not be spent from refuses.
fn require_access(new: &TurnRequest, context: &Context) -> Result<()> {
    if new.conversation_id.is_some() && context.conversation.is_none() {
        return Err(AppError::not_found("conversationId", "conversation"));
    }
    match (context.is_member, &context.conversation) {
        (true, _) => Ok(()),
        (false, None) => Err(AppError::not_found("accountId", "account")),
        (false, Some(_)) => {
            Err(AppError::new(ErrorCode::RoleForbids, "Your role in this account does not allow this."))
        }
    }
}
