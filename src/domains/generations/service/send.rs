//! Asking a model for an answer: read, decide, accept, hand to the engine.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Generations, TurnRequest,
    price::Ask,
    rows::{conversation_of, generation_of, messages_of, title_of},
};
use crate::{
    domains::{
        accounts::Viewer,
        catalog::Model,
        conversations::{
            self, ConversationRow, MessageRow, Part, Spine, TitleState, find_conversation, require_model,
        },
        credits::{Balance, Quota, read_counts},
        generations::{
            engine::{Run, attempt_id},
            hub::Place,
            model::{Content, GenerationRow, Purpose},
            prompt::PastTurn,
            repo::{
                self, Acceptance, Accepted, Asked, Context, Follows, MAX_SIBLINGS, NewTurn, NewUserMessage,
            },
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
    /// What is answered.
    pub user_message: Option<MessageRow>,
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
    user_message_id: Option<Uuid>,
    answer_id: Uuid,
}

impl TurnIds {
    pub(super) fn of(started: &Started) -> Self {
        Self {
            conversation_id: started.conversation.id,
            user_message_id: started.user_message.as_ref().map(|message| message.id),
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
    /// The message that the turn follows.
    parent: Option<MessageRow>,
}

impl Generations {
    /// Stores the message, if there is a new one, and starts the answer, once for an idempotency key.
    pub async fn answer(&self, viewer: Viewer, new: TurnRequest, key: String) -> Result<Started> {
        self.tasks.require_running()?;
        let operation = match new.follows {
            Follows::SameAs(_) => "regenerate_message",
            Follows::Head | Follows::Message(_) | Follows::Nothing => "send_message",
        };
        let intent = Intent::try_new(operation, key, &new)?;
        new.validate()?;
        let this = self.clone();
        self.tasks.run(async move { this.start_turn(viewer, new, intent).await }).await
    }

    async fn start_turn(&self, viewer: Viewer, new: TurnRequest, intent: Intent) -> Result<Started> {
        for _ in 0..MAX_READS {
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
        new: &TurnRequest,
        intent: &Intent,
        account_id: Uuid,
        context: Context,
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
            system_prompt: known.and_then(|conversation| conversation.system_prompt.as_deref()),
            history,
            text: &text,
            is_new_conversation: known.is_none(),
        };
        let (prompt, quote) = self.price(payer, &ask)?;
        let generation_id = new_uuid(&self.clock);
        let (user_message, answer_id, answer_place) = self.place(new, context.spine);
        let asked_id = user_message.as_ref().map(|message| message.id);
        let ids = TurnIds {
            conversation_id: known.map_or_else(|| new_uuid(&self.clock), |conversation| conversation.id),
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
            is_new_conversation: known.is_none(),
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
        Ok(TurnPlan {
            turn,
            request,
            provider,
            identity,
            known: context.conversation,
            parent: context.parent,
        })
    }

    /// The new message, if there is one, and the answer behind it, whose id is the newer.
    fn place(&self, new: &TurnRequest, spine: Spine) -> (Option<NewUserMessage>, Uuid, conversations::Place) {
        let id = new_uuid(&self.clock);
        if let Follows::SameAs(_) = new.follows {
            return (None, id, spine.follow(id).0);
        }
        let (place, spine) = spine.follow(id);
        let parts: Vec<Part> = new.parts.iter().map(|text| Part::Text { text: text.clone() }).collect();
        let message = NewUserMessage { id, place, parts: serde_json::json!(parts) };
        let answer_id = new_uuid(&self.clock);
        (Some(message), answer_id, spine.follow(answer_id).0)
    }

    /// Hands an accepted turn to the engine and answers from memory: no further round trip.
    fn launch(&self, plan: TurnPlan, place: Place, accepted: Accepted) -> Result<Started> {
        let TurnPlan { turn, request, provider, identity, known, parent } = plan;
        let hold = turn.quote.clone().admitted(turn.generation_id, accepted.units, accepted.credits_held);
        let (limits, balance) = (turn.quote.limits(), accepted.balance());
        let (user_message, answer) = messages_of(&turn, &accepted);
        let user_message = user_message.or(parent);
        let generation = generation_of(&turn, &accepted, &hold);
        let conversation = conversation_of(&turn, &accepted, known);
        let run = Run {
            hold,
            answer: Some(answer.clone()),
            provider,
            request,
            identity,
            place,
            limit: self.engine.limit,
            description: turn.description,
            is_untitled: conversation.title_state == TitleState::Open.as_str(),
        };
        self.engine.spawn(run);
        self.watches.hint(&generation);
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
        let user_message = match ids.user_message_id {
            Some(id) => repo::find_watched(&mut conn, viewer.user_id, id, 0).await?.map(|user| user.message),
            None => None,
        };
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
            user_message,
            answer: answer.message,
            content,
            generation: answer.generation.ok_or_else(gone)?,
            balance: answer.balance,
            quotas: quotas.unwrap_or_default(),
        })
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
fn question<'a>(new: &TurnRequest, history: &'a [PastTurn]) -> (&'a [PastTurn], String) {
    match (new.follows, history.split_last()) {
        (Follows::SameAs(_), Some((asked, before))) => (before, Part::joined_text(&asked.parts)),
        _ => (history, new.parts.join("\n\n")),
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
    if context.siblings >= MAX_SIBLINGS {
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
