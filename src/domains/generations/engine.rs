//! One run: reads the provider, feeds the stream log, and ends exactly once.
//!
//! The run belongs to nobody's request. It ends when the model does, when somebody stops it, when its time is over,
//! when the process stops, or, without another word, when the process lost its lease and others have ended it.

use std::{sync::Arc, time::Duration};

use diesel_async::AsyncConnection;
use futures_util::StreamExt;
use tokio::time::Instant;
use uuid::Uuid;

mod outcome;

pub use outcome::estimated_usage;
use outcome::{Outcome, Output, describe, usage_of};

use super::{
    bounds,
    changes::Watches,
    hub::Place,
    log::LogWriter,
    model::{Finished, PartKind},
    repo::{self, Ending, Settled},
    title::{self, Titles},
};
use crate::{
    domains::{
        conversations::{MessageRow, Part, RunStatus},
        credits::Hold,
        moderation::Allowed,
    },
    error::{AppError, Result},
    platform::{postgres::Db, replica::Identity, tasks::Tasks},
    providers::{
        error::{ProviderError, ProviderErrorKind},
        types::{ChatEvent, ChatProvider, ChatRequest, ChatStream},
    },
};

/// What all runs of the process share.
#[derive(Clone)]
pub struct Engine {
    pub db: Db,
    pub tasks: Tasks,
    pub log: LogWriter,
    pub watches: Watches,
    /// Longest time for one answer.
    pub limit: Duration,
    pub titles: Titles,
}

/// One accepted run.
pub struct Run {
    pub hold: Hold,
    pub allowed: Allowed,
    /// The message it writes; `None` when it writes none: then nothing goes to the log, and only its caller has the text.
    pub answer: Option<MessageRow>,
    pub provider: Arc<dyn ChatProvider>,
    pub request: ChatRequest,
    pub identity: Identity,
    pub place: Place,
    /// Its longest time.
    pub limit: Duration,
    pub description: String,
    /// Nobody has given its conversation a title, nor has a model been asked for one.
    pub is_untitled: bool,
}

/// A run whose end this process has stored.
pub struct Ended {
    pub status: RunStatus,
    pub parts: Vec<Part>,
    /// It was charged, or counted in limits, even if it costs nothing.
    pub is_settled: bool,
}

impl Engine {
    /// Runs in a task of its own; the caller does not wait.
    pub fn spawn(&self, run: Run) {
        let this = self.clone();
        let span = tracing::info_span!(parent: None, "generations.run", generation.id = %run.hold.id(), model = %run.request.model);
        let work = async move { drop(this.run(run).await) };
        self.tasks.spawn(tracing::Instrument::instrument(work, span));
    }

    /// Runs to the end in a task of its own, whether or not the caller waits for it. `None` when others end it.
    pub async fn finish(&self, run: Run) -> Result<Option<Ended>> {
        let this = self.clone();
        self.tasks.run(async move { Ok(this.run(run).await) }).await
    }

    async fn run(self, run: Run) -> Option<Ended> {
        let mut output = Output::default();
        let outcome = self.read(&run, &mut output).await;
        if matches!(outcome, Outcome::GivenUp) {
            run.hold.abandon();
            return None;
        }
        if let Outcome::Failed(error) = &outcome {
            let detail = std::error::Error::source(error).map(ToString::to_string);
            tracing::warn!(%error, detail, "the provider failed");
        }
        // Everything that was said is stored before the end is.
        let last = match &run.answer {
            Some(answer) => self.log.close(run.identity.replica_id, answer.id).await,
            None => Ok(0),
        };
        let Ok(last) = last else {
            run.hold.abandon();
            return None;
        };
        self.end(run, outcome, output, last + 1).await
    }

    /// Reads until the end of the answer or of our patience.
    async fn read(&self, run: &Run, output: &mut Output) -> Outcome {
        let deadline = Instant::now() + run.limit;
        let interruption = async {
            tokio::select! {
                () = run.place.stop.cancelled() => Outcome::Stopped,
                () = run.identity.fenced.cancelled() => Outcome::GivenUp,
                () = self.tasks.stopping().cancelled() => Outcome::ShutDown,
                () = tokio::time::sleep_until(deadline) => Outcome::TimedOut,
            }
        };
        let reading = async {
            let stream = match run.provider.stream_chat(&run.request, &run.hold, &run.allowed).await {
                Ok(stream) => stream,
                // Nothing was made, so nothing is charged.
                Err(error) => return Outcome::Failed(error),
            };
            output.was_accepted = true;
            self.pump(run, stream, output).await
        };
        tokio::select! {
            biased;
            outcome = interruption => outcome,
            outcome = reading => outcome,
        }
    }

    async fn pump(&self, run: &Run, mut stream: ChatStream, output: &mut Output) -> Outcome {
        while let Some(event) = stream.next().await {
            let (kind, text) = match event {
                Ok(ChatEvent::Text(text)) => (PartKind::Text, text),
                Ok(ChatEvent::Reasoning(text)) => (PartKind::Reasoning, text),
                Ok(ChatEvent::Usage(usage)) => {
                    output.usage = Some(usage);
                    continue;
                }
                Ok(ChatEvent::Finished(reason)) => return Outcome::Finished(reason),
                Err(error) => return Outcome::Failed(error),
            };
            output.bytes += text.len();
            if output.bytes > bounds::MAX_ANSWER {
                return Outcome::TooLong;
            }
            if self.say(run, output, kind, &text).await.is_err() {
                return Outcome::GivenUp;
            }
        }
        Outcome::Failed(ProviderError::new(ProviderErrorKind::CutOff, "the stream ended without an end"))
    }

    async fn say(&self, run: &Run, output: &mut Output, kind: PartKind, text: &str) -> Result<()> {
        // PostgreSQL stores no NUL; the replacement character is what it would show as.
        let text = text.replace('\0', "\u{FFFD}");
        for piece in pieces(&text) {
            let Some(answer) = &run.answer else {
                output.draft.push(kind, piece);
                continue;
            };
            // Nothing is written down before there is room to say it: a run that is stopped while it waits has said
            // exactly what it will store.
            let room = self.log.reserve().await?;
            let index = output.draft.push(kind, piece);
            room.say(run.identity.replica_id, answer.id, index, kind, piece.to_owned());
        }
        Ok(())
    }

    /// Stores the end, repeating until it is known to be stored: while this process keeps its lease nobody else will.
    async fn end(&self, run: Run, outcome: Outcome, output: Output, sequence: i32) -> Option<Ended> {
        let Run { hold, answer, identity, request, description, place, is_untitled, .. } = run;
        let is_capped = hold.is_capped();
        let (status, finish_reason, failure) = describe(&outcome, is_capped);
        let usage = usage_of(&output, hold.terms(), &outcome);
        let is_settled = usage.is_some();
        let resolution = match usage {
            Some(usage) => hold.settle(usage),
            None => hold.release(),
        };
        let ending = Ending {
            status,
            finish_reason,
            failure,
            parts: serde_json::json!(output.draft.parts),
            sequence,
            is_output_capped: is_capped,
            resolution,
            description,
        };
        let asks_for_title = is_untitled && status == RunStatus::Succeeded && self.titles.are_on();
        let me = identity.replica_id;
        let mut pause = Duration::from_millis(50);
        loop {
            let attempt = async {
                let mut conn = self.db.conn().await?;
                if !asks_for_title {
                    return Ok::<_, AppError>(repo::finish_turn(&mut conn, me, me, &ending).await?);
                }
                conn.transaction(async |conn| {
                    let settled = repo::finish_turn(conn, me, me, &ending).await?;
                    if let Some(settled) = &settled {
                        title::ask_in_tx(conn, &settled.generation).await?;
                    }
                    Ok(settled)
                })
                .await
            };
            match attempt.await {
                Ok(Some(Settled { generation, balance })) => {
                    ending.resolution.count();
                    self.watches.hint(&generation);
                    if asks_for_title {
                        self.titles.nudge();
                    }
                    tracing::info!(
                        status = generation.status,
                        model = request.model,
                        output_tokens = generation.output_tokens,
                        microcredits_charged = generation.credits_charged,
                        "the run has ended"
                    );
                    if let Some(answer) = answer {
                        let message = MessageRow {
                            status: generation.status.clone(),
                            parts: ending.parts,
                            stream_sequence: sequence,
                            ..answer
                        };
                        place.finish(Finished { message, generation, balance });
                    }
                    return Some(Ended { status, parts: output.draft.parts, is_settled });
                }
                // Somebody else has ended it, or will, because this process is fenced; watchers read how.
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(error = error.chain(), "the end of a run cannot be stored; trying again")
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(2)),
                () = identity.fenced.cancelled() => break,
            }
        }
        None
    }
}

/// Cuts a text into pieces of at most [`bounds::MAX_PIECE`] bytes, between characters.
fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let (piece, rest) = text.split_at(text.floor_char_boundary(bounds::MAX_PIECE));
        text = rest;
        Some(piece)
    })
}

/// A run id for the provider, so that a repeated request is recognised.
pub fn attempt_id(generation_id: Uuid) -> String {
    format!("{generation_id}-1")
}
