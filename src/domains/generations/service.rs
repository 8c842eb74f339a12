//! Starting, stopping and watching answers.

use std::{sync::Arc, time::Duration};

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    engine::{Engine, Run, attempt_id},
    hub::Hub,
    log::{LogSettings, LogWriter},
    model::{Content, GenerationRow},
    prompt,
    repo::{self, Accepted, Context, NewTurn},
    sweep::Sweeper,
    watch::{self, WatchEvent},
};
use crate::{
    domains::{
        accounts::Viewer,
        catalog::{Catalog, Model},
        conversations::{ConversationRow, MessageRow, Part, require_model},
        credits::{Balance, Credits, Hold, Quote},
    },
    error::{AppError, Details, ErrorCode, Result},
    platform::{
        clock::Clock,
        ids::new_uuid,
        postgres::{Db, idempotency::Intent},
        tasks::Tasks,
    },
    providers::{
        registry::Registry,
        types::{ChatProvider, ChatRequest},
    },
};

/// A turn whose conversation moved on while it was read is read again so often.
const MAX_READS: usize = 8;
const MAX_PARTS: usize = 20;
const MAX_PART_CHARS: usize = 100_000;

/// Limits and pace of the answers of a process.
#[derive(Debug, Clone, Copy)]
pub struct GenerationSettings {
    pub log: LogSettings,
    /// Longest time for one answer.
    pub limit: Duration,
    /// How long a finished answer can still be resumed event by event.
    pub retention: Duration,
}

/// A message to a conversation.
#[derive(Debug, Clone, Serialize)]
pub struct NewMessage {
    /// `None` starts a new conversation.
    pub conversation_id: Option<Uuid>,
    /// Account of a new conversation.
    pub account_id: Option<Uuid>,
    pub parts: Vec<String>,
    pub model: Option<String>,
    pub options: Options,
}

/// Wishes for one answer.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Options {
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub max_output_tokens: Option<u32>,
    /// Most micro-credits the answer may cost.
    pub max_credits: Option<i64>,
    pub stop: Vec<String>,
}

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
}

/// Result under an idempotency key.
#[derive(Debug, Serialize, Deserialize)]
struct TurnIds {
    conversation_id: Uuid,
    user_message_id: Uuid,
    answer_id: Uuid,
}

/// The use cases; clones share everything.
#[derive(Clone)]
pub struct Generations {
    db: Db,
    clock: Clock,
    tasks: Tasks,
    catalog: Catalog,
    providers: Arc<Registry>,
    hub: Hub,
    log: LogWriter,
    engine: Engine,
}

impl Generations {
    /// Starts the log of the process. `requests` serves callers, `background` the log and the ends of runs. Cancelling
    /// `stop` ends both after everything is stored.
    pub async fn start(
        requests: Db,
        background: Db,
        clock: Clock,
        tasks: Tasks,
        catalog: Catalog,
        providers: Arc<Registry>,
        settings: GenerationSettings,
        stop: tokio_util::sync::CancellationToken,
    ) -> Result<Self> {
        repo::ensure_partitions(&mut *background.conn().await?).await?;
        let hub = Hub::default();
        let log = LogWriter::start(
            background.clone(),
            clock.clone(),
            hub.clone(),
            &tasks,
            settings.log,
            stop.clone(),
        )
        .await?;
        let sweeper = Sweeper {
            db: background.clone(),
            log: log.clone(),
            settings: settings.log,
            retention: settings.retention,
        };
        tasks.spawn(sweeper.run(stop));
        let engine = Engine {
            db: background,
            clock: clock.clone(),
            tasks: tasks.clone(),
            hub: hub.clone(),
            log: log.clone(),
            limit: settings.limit,
        };
        Ok(Self { db: requests, clock, tasks, catalog, providers, hub, log, engine })
    }

    /// Answers in progress in this process.
    pub fn running(&self) -> usize {
        self.hub.len()
    }

    /// Stores a message and starts the answer, once for an idempotency key.
    pub async fn send_message(&self, viewer: Viewer, new: NewMessage, key: String) -> Result<Started> {
        self.tasks.require_running()?;
        let intent = Intent::try_new("send_message", key, &new)?;
        validate(&new)?;
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
                return self.replay(viewer, first).await;
            }
            let plan = self.plan_turn(viewer, &new, &intent, account_id, context)?;
            let accepted = {
                let mut conn = self.db.conn().await?;
                repo::accept_turn(&mut conn, &plan.turn).await
            };
            match accepted {
                Ok(accepted) => return self.launch(plan, accepted),
                Err(error) if has_moved_on(&error) => {}
                Err(error) => return Err(refusal(error)),
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
    ) -> Result<TurnPlan> {
        if new.conversation_id.is_some() && context.conversation.is_none() {
            return Err(AppError::not_found("conversationId", "conversation"));
        }
        if !context.is_member {
            return Err(match new.conversation_id {
                Some(_) => {
                    AppError::new(ErrorCode::RoleForbids, "Your role in this account does not allow this.")
                }
                None => AppError::not_found("accountId", "account"),
            });
        }
        let known = context.conversation.as_ref();
        let requested = new
            .model
            .as_deref()
            .or(known.and_then(|conversation| conversation.model_key.as_deref()))
            .unwrap_or(self.catalog.default_model());
        let model = require_model(&self.catalog, requested)?;
        let provider =
            self.providers.get(&model.provider).cloned().ok_or_else(|| unavailable(&model, None))?;
        let text = new.parts.join("\n\n");
        let plan = self.catalog.default_plan();
        let min_output = u32::try_from(plan.min_output_tokens).unwrap_or(1).min(model.max_output_tokens);
        let system_prompt = known.and_then(|conversation| conversation.system_prompt.as_deref());
        let prompt = prompt::build(&model, system_prompt, &context.history, &text, min_output)?;
        let room = model.context_tokens.saturating_sub(prompt.tokens);
        let wanted = new.options.max_output_tokens.unwrap_or(model.max_output_tokens).min(room);
        let mut quote = Quote::new(&model, plan, prompt.tokens, Some(wanted));
        if let Some(limit) = new.options.max_credits {
            let required = quote.least();
            quote =
                quote.at_most(limit).ok_or_else(|| insufficient(required, limit).at("options.maxCredits"))?;
        }
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
            system_prompt: None,
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
    fn launch(&self, plan: TurnPlan, accepted: Accepted) -> Result<Started> {
        let TurnPlan { turn, request, provider, identity, known } = plan;
        let hold = turn.quote.clone().admitted(turn.generation_id, accepted.units, accepted.credits_held);
        let balance = accepted.balance();
        let (user_message, answer) = messages_of(&turn, &accepted);
        let generation = generation_of(&turn, &accepted, &hold);
        let conversation = conversation_of(&turn, &accepted, known);
        // A process with too many runs lets this one stop at once; it is settled like any other.
        let stop = self.hub.open(answer.id, turn.generation_id).unwrap_or_else(|| {
            let stop = tokio_util::sync::CancellationToken::new();
            stop.cancel();
            stop
        });
        let run = Run {
            hold,
            answer: answer.clone(),
            provider,
            request,
            identity,
            stop,
            description: turn.description,
        };
        self.engine.spawn(run);
        Ok(Started {
            conversation,
            user_message,
            answer,
            content: Content::of_events([]),
            generation,
            balance,
        })
    }

    /// The first result of a key, as it stands now.
    async fn replay(&self, viewer: Viewer, ids: TurnIds) -> Result<Started> {
        let mut conn = self.db.conn().await?;
        let gone = || AppError::not_found("idempotencyKey", "message");
        let conversation =
            crate::domains::conversations::find_conversation(&mut conn, viewer.user_id, ids.conversation_id)
                .await?
                .ok_or_else(gone)?;
        let user =
            repo::find_watched(&mut conn, viewer.user_id, ids.user_message_id, 0).await?.ok_or_else(gone)?;
        let answer =
            repo::find_watched(&mut conn, viewer.user_id, ids.answer_id, 0).await?.ok_or_else(gone)?;
        let content = match answer.message.status().is_terminal() {
            true => Content::of_finished(&answer.message),
            false => Content::of_events(&answer.events),
        };
        Ok(Started {
            conversation,
            user_message: user.message,
            answer: answer.message,
            content,
            generation: answer.generation.ok_or_else(gone)?,
            balance: answer.balance,
        })
    }

    /// Asks a run of the viewer to stop and waits a moment for its end. Stopping twice, or what has ended, is no error.
    pub async fn cancel(&self, viewer: Viewer, id: Uuid) -> Result<GenerationRow> {
        let this = self.clone();
        let work = async move {
            let mut conn = this.db.conn().await?;
            let find = |rows: Vec<GenerationRow>| rows.into_iter().next();
            let row = find(repo::list_generations(&mut conn, viewer.user_id, &[id]).await?);
            let row = row.ok_or_else(|| AppError::not_found("id", "generation"))?;
            if row.finished_at.is_some() {
                return Ok(row);
            }
            let end = row.message_id.and_then(|message_id| this.hub.subscribe(message_id));
            repo::request_stop(&mut conn, viewer.user_id, id).await?;
            drop(conn);
            this.hub.stop(&[id]);
            if let Some(finished) = watch::wait_for_end(end).await {
                return Ok(finished.generation.clone());
            }
            // It runs elsewhere, or takes longer: its watchers will see the end.
            let mut conn = this.db.conn().await?;
            Ok(find(repo::list_generations(&mut conn, viewer.user_id, &[id]).await?).unwrap_or(row))
        };
        self.tasks.run(work).await
    }

    /// Events of a message after the one numbered `after`, or from a snapshot on; ends after the terminal one. `None` when
    /// the viewer may not read the message.
    pub async fn watch(
        &self,
        viewer: Viewer,
        message_id: Uuid,
        after: Option<i32>,
    ) -> Result<Option<impl futures_util::Stream<Item = Result<WatchEvent>> + Send + use<>>> {
        watch::watch(self.db.clone(), self.hub.clone(), viewer.user_id, message_id, after).await
    }
}

/// A turn that only has to be written.
struct TurnPlan {
    turn: NewTurn,
    request: ChatRequest,
    provider: Arc<dyn ChatProvider>,
    identity: super::log::Identity,
    known: Option<ConversationRow>,
}

fn validate(new: &NewMessage) -> Result<()> {
    if !(1..=MAX_PARTS).contains(&new.parts.len()) {
        return Err(AppError::invalid("parts", "A message has 1 to 20 parts."));
    }
    for (index, text) in new.parts.iter().enumerate() {
        if !(1..=MAX_PART_CHARS).contains(&text.chars().count()) || text.contains('\0') {
            return Err(AppError::invalid(
                &format!("parts.{index}.text"),
                "A part has 1 to 100000 characters, and none of them is NUL.",
            ));
        }
    }
    if new.conversation_id.is_some() && new.account_id.is_some() {
        return Err(AppError::invalid(
            "accountId",
            "The account of a conversation that exists cannot be chosen.",
        ));
    }
    let options = &new.options;
    if options.temperature.is_some_and(|value| !(0.0..=2.0).contains(&value)) {
        return Err(AppError::invalid("options.temperature", "The temperature is between 0 and 2."));
    }
    if options.top_p.is_some_and(|value| !(value > 0.0 && value <= 1.0)) {
        return Err(AppError::invalid("options.topP", "The share is above 0 and at most 1."));
    }
    if options.max_output_tokens == Some(0) {
        return Err(AppError::invalid("options.maxOutputTokens", "An answer has at least one token."));
    }
    if options.stop.len() > 4 || options.stop.iter().any(|text| text.is_empty() || text.len() > 256) {
        return Err(AppError::invalid(
            "options.stop",
            "At most 4 texts of 1 to 256 bytes can end an answer.",
        ));
    }
    Ok(())
}

/// First line of a message, cut between characters.
fn title_of(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let title: String = line.chars().filter(|char| !char.is_control()).take(80).collect();
    (!title.is_empty()).then_some(title)
}

/// Sentence of a ledger entry.
pub fn describe_charge(model_key: &str) -> String {
    format!("Answer of {model_key}")
}

fn messages_of(turn: &NewTurn, accepted: &Accepted) -> (MessageRow, MessageRow) {
    let user = MessageRow {
        id: turn.user_message_id,
        account_id: turn.account_id,
        conversation_id: turn.conversation_id,
        parent_id: turn.parent_id,
        role: "user".to_owned(),
        author_id: Some(turn.viewer),
        status: "succeeded".to_owned(),
        parts: turn.user_parts.clone(),
        stream_sequence: 0,
        created_at: accepted.now,
    };
    let answer = MessageRow {
        id: turn.answer_id,
        parent_id: Some(turn.user_message_id),
        role: "assistant".to_owned(),
        author_id: None,
        status: "queued".to_owned(),
        parts: serde_json::json!([]),
        ..user.clone()
    };
    (user, answer)
}

fn generation_of(turn: &NewTurn, accepted: &Accepted, hold: &Hold) -> GenerationRow {
    GenerationRow {
        id: turn.generation_id,
        account_id: turn.account_id,
        user_id: turn.viewer,
        conversation_id: Some(turn.conversation_id),
        message_id: Some(turn.answer_id),
        replica_id: turn.replica_id,
        status: "queued".to_owned(),
        requested_model: turn.requested_model.clone(),
        model_key: turn.model_key.clone(),
        terms: serde_json::json!(turn.quote.terms),
        is_output_capped: hold.is_capped(),
        stop_requested_at: None,
        finish_reason: None,
        error_code: None,
        error_message: None,
        input_tokens: None,
        cached_input_tokens: None,
        output_tokens: None,
        reasoning_tokens: None,
        usage_source: None,
        credits_held: accepted.credits_held,
        credits_charged: None,
        revision: 1,
        created_at: accepted.now,
        first_output_at: None,
        finished_at: None,
    }
}

fn conversation_of(turn: &NewTurn, accepted: &Accepted, known: Option<ConversationRow>) -> ConversationRow {
    let head_id = Some(turn.answer_id);
    match known {
        Some(known) => ConversationRow {
            head_id,
            title: known.title.clone().or(turn.title.clone()),
            message_count: known.message_count + 2,
            updated_at: accepted.now,
            ..known
        },
        None => ConversationRow {
            id: turn.conversation_id,
            account_id: turn.account_id,
            created_by: turn.viewer,
            title: turn.title.clone(),
            system_prompt: None,
            model_key: turn.conversation_model.clone(),
            head_id,
            message_count: 2,
            created_at: accepted.now,
            updated_at: accepted.now,
        },
    }
}

/// The branch or the key was taken meanwhile.
fn has_moved_on(error: &DieselError) -> bool {
    // The wire code of a raised exception is not part of Diesel's error; the message of `require_moved` is.
    matches!(error, DieselError::DatabaseError(_, info) if info.message().ends_with("has moved on"))
        || matches!(error, DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _))
}

/// A refusal of `ledger_hold` with its numbers; anything else is ours.
fn refusal(error: DieselError) -> AppError {
    #[derive(Deserialize)]
    struct Line {
        required: i64,
        available: i64,
    }
    if let DieselError::DatabaseError(_, info) = &error
        && info.message().starts_with("insufficient ")
        && let Some(line) = info.details().and_then(|details| serde_json::from_str::<Line>(details).ok())
    {
        return insufficient(line.required, line.available);
    }
    error.into()
}

fn insufficient(required: i64, available: i64) -> AppError {
    let message = format!(
        "This needs at least {} credits, and {} are available.",
        Credits(required),
        Credits(available)
    );
    AppError::new(ErrorCode::InsufficientCredits, message)
        .with_details(Details::Credits { required, available })
}

fn unavailable(model: &Model, retry_after: Option<Duration>) -> AppError {
    AppError::new(
        ErrorCode::ProviderUnavailable,
        format!("No provider of the model `{}` answers.", model.key),
    )
    .with_details(Details::Provider { model: model.key.clone(), retry_after })
}
