//! Asking a model for the title of a conversation.

use std::sync::Arc;

use uuid::Uuid;

use super::{Generations, price::Ask};
use crate::{
    domains::{
        catalog::Model,
        conversations::{
            AnswerOptions, ConversationRow, Part, RunStatus, find_exchange_unscoped, require_model,
        },
        credits::{Hold, Quote, read_counts},
        generations::{
            bounds,
            engine::{Run, attempt_id},
            model::Purpose,
            prompt::Prompt,
            repo::{self, Acceptance, NewTitleRun},
            title::{self, MakeTitle},
        },
        moderation::{Allowed, Passage, Submission},
    },
    error::{AppError, ErrorCode, Result},
    platform::{ids::new_uuid, replica::Identity},
    providers::types::{ChatProvider, ChatRequest},
};

impl Generations {
    /// The title that a model makes of the first answer, charged and settled; `None` when there is none to make: it was
    /// given meanwhile, the messages are gone, the account cannot pay, or its plan or the catalogue has no model for it.
    ///
    /// # Errors
    /// When another attempt may succeed.
    pub(in crate::domains::generations) async fn make_title(&self, job: MakeTitle) -> Result<Option<String>> {
        let (found, is_paid) = {
            let mut conn = self.engine.db.conn().await?;
            let found = find_exchange_unscoped(&mut conn, job.conversation_id, job.answer_id).await?;
            let since = found.as_ref().map(|(.., answer)| answer.created_at);
            let is_paid = match since {
                Some(since) => repo::is_title_paid_unscoped(&mut conn, job.conversation_id, since).await?,
                None => false,
            };
            (found, is_paid)
        };
        let Some((conversation, question, answer)) = found else { return Ok(None) };
        if is_paid {
            // An attempt before this one was settled and did not come to its end: nobody pays twice.
            return Ok(None);
        }
        let said = |parts: Arc<[Part]>| Part::joined_text(&parts);
        let text = title::excerpt(&said(question.parts()), &said(answer.parts()));
        match self.ask_for_title(&conversation, &text).await {
            Err(error) if is_final(&error) => {
                tracing::debug!(error = error.chain(), "a conversation gets no title by a model");
                Ok(None)
            }
            result => result,
        }
    }

    async fn ask_for_title(&self, conversation: &ConversationRow, text: &str) -> Result<Option<String>> {
        let requested = self.engine.titles.model().or(conversation.model_key.clone());
        let requested = requested.unwrap_or_else(|| self.catalog.default_model());
        let model = require_model(&self.catalog, &requested)?;
        let Some(provider) = self.providers.get(&model.provider).cloned() else { return Ok(None) };
        let options =
            AnswerOptions { max_output_tokens: Some(bounds::TITLE_TOKENS), ..AnswerOptions::default() };
        let submission = Submission {
            account_id: conversation.account_id,
            user_id: conversation.created_by,
            passages: vec![Passage { path: None, text }],
        };
        for _ in 0..bounds::MAX_READS {
            let payer = self.subscriptions.payer(conversation.created_by, conversation.account_id).await?;
            let ask = Ask {
                user_id: conversation.created_by,
                model: &model,
                options: &options,
                system_prompt: Some(title::INSTRUCTIONS),
                history: &[],
                text,
                path: "parts",
                is_new_conversation: false,
            };
            let (prompt, quote) = self.price(&payer, &ask)?;
            let allowed = self.moderation.check(&submission).await?;
            let run = self.title_run(conversation, &requested, &model, quote);
            if let Some(said) = self.run_for_title((run, allowed), prompt, &model, provider.clone()).await? {
                return Ok(title::clean(&said));
            }
        }
        Err(AppError::unavailable(anyhow::anyhow!(
            "what the account has moves faster than a title is priced"
        )))
    }

    fn title_run(
        &self,
        conversation: &ConversationRow,
        requested: &str,
        model: &Model,
        quote: Quote,
    ) -> NewTitleRun {
        NewTitleRun {
            generation_id: new_uuid(&self.clock),
            replica_id: Uuid::nil(),
            account_id: conversation.account_id,
            user_id: conversation.created_by,
            conversation_id: conversation.id,
            requested_model: requested.to_owned(),
            model_key: model.key.clone(),
            quote,
            description: Purpose::Title.describe(&model.key),
        }
    }

    /// Accepts the run and brings it to its end; what the model said, or `None` when it has to be priced again.
    async fn run_for_title(
        &self,
        (run, allowed): (NewTitleRun, Allowed),
        prompt: Prompt,
        model: &Model,
        provider: Arc<dyn ChatProvider>,
    ) -> Result<Option<String>> {
        let id = run.generation_id;
        // A shutdown waits for it from here on, and whoever stops it finds it.
        let place = self.hub.open(id, id).ok_or_else(super::send::overloaded)?;
        let identity = self.log.identity();
        let Some(hold) = self.accept_title(run, &identity).await? else { return Ok(None) };
        let run = Run {
            hold,
            allowed,
            answer: None,
            provider,
            request: ChatRequest {
                model: model.upstream_name.clone(),
                messages: prompt.messages,
                temperature: None,
                top_p: None,
                stop: Vec::new(),
                attempt_id: attempt_id(id),
            },
            identity,
            place,
            limit: bounds::TITLE_LIMIT.min(self.engine.limit),
            description: Purpose::Title.describe(&model.key),
            is_untitled: false,
        };
        match self.engine.finish(run).await? {
            Some(ended) if ended.status == RunStatus::Succeeded => Ok(Some(Part::joined_text(&ended.parts))),
            // Somebody did not want it, or it came to nothing and was charged: nobody pays for a second attempt.
            Some(ended) if ended.status == RunStatus::Canceled || ended.is_settled => Ok(Some(String::new())),
            _ => Err(AppError::unavailable(anyhow::anyhow!("the model made no title"))),
        }
    }

    /// The hold of an accepted run; `None` when what it was priced by has moved on.
    async fn accept_title(&self, run: NewTitleRun, identity: &Identity) -> Result<Option<Hold>> {
        let run = NewTitleRun { replica_id: identity.replica_id, ..run };
        let accepted = {
            let mut conn = self.engine.db.conn().await?;
            repo::accept_title(&mut conn, &run).await?
        };
        match accepted {
            Acceptance::Accepted(accepted) => {
                self.watches.accounts.hint(run.account_id);
                let counts = read_counts(accepted.counts)?;
                self.ceiling_alarm.look(&self.catalog.ceilings(), run.account_id, &counts, accepted.now);
                Ok(Some(run.quote.admitted(run.generation_id, accepted.units, accepted.credits_held)))
            }
            Acceptance::MovedOn => Ok(None),
            Acceptance::Fenced => Err(AppError::unavailable(anyhow::anyhow!("this process is fenced"))),
            Acceptance::Refused(refusal) => {
                refusal.count();
                Err(refusal.into_error())
            }
        }
    }
}

/// True for what people would be told; the rest is a fault that may pass.
fn is_final(error: &AppError) -> bool {
    !matches!(error.code(), ErrorCode::ServiceUnavailable | ErrorCode::Internal | ErrorCode::TimedOut)
}
