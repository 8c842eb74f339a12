//! Titles that models make: a job after the first answer of a conversation that has none of a person.
//!
//! - It is enqueued in the transaction that ends that answer, if titles are on then; once for a conversation, unless a
//!   person takes the title away again.
//! - The call is a run like any other, with a hold, in the name of who started the conversation. It writes no message.
//! - What a person has said meanwhile is kept. Without a title by a model, the first line of the first message stays.

use std::time::Duration;

use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Generations, bounds, model::GenerationRow};
use crate::{
    domains::{
        conversations::{ask_for_title_in_tx, give_title_in_tx},
        settings::Settings,
    },
    error::Result,
    jobs::{self, Failure, Job, JobHints, Run},
};

/// What the model is told.
pub const INSTRUCTIONS: &str = "Write a title for the conversation that the user shows you: at most six words, in \
    the language of the conversation, on one line, without quotation marks. Answer with the title alone.";

/// Whether titles are made, and who is told that one is to be.
#[derive(Clone)]
pub struct Titles {
    pub settings: Settings,
    pub hints: JobHints,
}

impl Titles {
    pub fn are_on(&self) -> bool {
        self.settings.current().is_titling
    }

    /// Key of the model that makes titles, if it is not that of each conversation.
    pub fn model(&self) -> Option<String> {
        self.settings.current().title_model
    }

    /// After the commit of [`ask_in_tx`].
    pub fn nudge(&self) {
        self.hints.nudge();
    }
}

/// Has a title made after this run, unless one was asked for or given before.
pub async fn ask_in_tx(conn: &mut AsyncPgConnection, generation: &GenerationRow) -> Result<()> {
    let (Some(conversation_id), Some(answer_id)) = (generation.conversation_id, generation.message_id) else {
        return Ok(());
    };
    if ask_for_title_in_tx(conn, conversation_id).await? {
        let options = jobs::Options { account_id: Some(generation.account_id), ..jobs::Options::default() };
        jobs::enqueue(conn, &MakeTitle { conversation_id, answer_id }, options).await?;
    }
    Ok(())
}

/// Asks a model for the title of a conversation, once an attempt.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct MakeTitle {
    pub conversation_id: Uuid,
    pub answer_id: Uuid,
}

impl Job for MakeTitle {
    const NAME: &'static str = "conversations.make_title";
    const QUEUE: &'static str = "titles";
    const MAX_ATTEMPTS: i16 = bounds::TITLE_ATTEMPTS;
    const LIMIT: Duration = bounds::TITLE_JOB_LIMIT;
    type Context = Generations;

    async fn run(self, generations: Generations, run: Run) -> Result<(), Failure> {
        let Some(title) = generations.make_title(self).await? else { return Ok(()) };
        let id = self.conversation_id;
        let given =
            run.complete(move |conn| async move { Ok(give_title_in_tx(conn, id, &title).await?) }.boxed());
        if given.await? {
            generations.watches.conversations.hint(id);
        }
        Ok(())
    }
}

/// What the model is shown of a conversation.
pub fn excerpt(question: &str, answer: &str) -> String {
    let shown = |text: &str| text.chars().take(bounds::TITLE_SHOWN).collect::<String>();
    format!("User: {}\n\nAssistant: {}", shown(question), shown(answer))
}

/// The first line of what a model said, without what surrounds a title, at most 60 characters; `None` when nothing is left.
pub fn clean(said: &str) -> Option<String> {
    let is_around = |char: char| char.is_whitespace() || "\"'`*#_“”„‘’«»".contains(char);
    let line = said.lines().map(|line| line.trim_matches(is_around)).find(|line| !line.is_empty())?;
    let words: Vec<&str> = line.split(|char: char| char.is_whitespace() || char.is_control()).collect();
    let words = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let title: String = words.chars().take(bounds::TITLE_CHARS).collect();
    let title = match title.rsplit_once(' ') {
        Some((whole, _)) if title.len() < words.len() => whole.to_owned(),
        _ => title,
    };
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_clean_line_of_sixty_characters() {
        for (said, title) in [
            ("The sea", Some("The sea")),
            ("\n\n  \"The sea\"  \nand more", Some("The sea")),
            ("**“The  \u{7}sea”**", Some("The sea")),
            ("# It's the sea", Some("It's the sea")),
            ("", None),
            (" \n\"\"\n ", None),
        ] {
            assert_eq!(clean(said).as_deref(), title, "{said:?}");
        }
        assert_eq!(clean(&"🌊".repeat(100)), Some("🌊".repeat(60)));
        assert_eq!(
            clean(&"words of a title ".repeat(9)).as_deref(),
            Some("words of a title words of a title words of a title words of")
        );
    }
}
