//! A call outside any conversation: what it brings along, and what of it is refused before anything is read.

use serde::Serialize;
use uuid::Uuid;

use super::TurnRequest;
use crate::{
    domains::{
        conversations::{AnswerOptions, Part, require_parts, require_system_prompt},
        generations::{bounds, prompt::PastTurn, repo::Follows},
    },
    error::{AppError, Result},
};

/// What a call outside any conversation brings along instead of one. None of it is stored.
#[derive(Debug, Clone, Serialize)]
pub struct OneShot {
    pub system_prompt: Option<String>,
    /// What was said before, oldest first.
    pub turns: Vec<PastTurn>,
}

/// One turn as the caller gives it.
#[derive(Debug, Clone)]
pub struct Turn {
    pub is_from_user: bool,
    pub parts: Vec<String>,
}

impl Turn {
    /// Where the turn at this place stands in the input.
    fn path(place: usize, is_from_user: bool) -> String {
        format!("turns.{place}.{}", if is_from_user { "user" } else { "assistant" })
    }

    fn into_past(self) -> PastTurn {
        let role = if self.is_from_user { "user" } else { "assistant" };
        let parts = self.parts.into_iter().map(|text| Part::Text { text }).collect();
        PastTurn { role: role.to_owned(), parts, counted: None }
    }
}

impl OneShot {
    /// Where the newest turn stands in the input.
    pub fn newest_path(&self) -> String {
        Turn::path(self.turns.len(), true)
    }

    /// The texts of the earlier turns, oldest first, each with its place in the input.
    pub fn texts(&self) -> impl Iterator<Item = (String, &str)> {
        self.turns.iter().enumerate().flat_map(|(place, turn)| {
            let path = Turn::path(place, turn.role == "user");
            let texts = turn.texts().enumerate();
            texts.map(move |(index, text)| (format!("{path}.{index}.text"), text))
        })
    }
}

impl TurnRequest {
    /// A call of a model outside any conversation.
    ///
    /// # Errors
    /// `INVALID_INPUT` at what no model is asked.
    pub fn one_shot(
        account_id: Option<Uuid>,
        mut turns: Vec<Turn>,
        system_prompt: Option<String>,
        model: Option<String>,
        options: AnswerOptions,
    ) -> Result<Self> {
        if turns.len() > bounds::MAX_TURNS {
            return Err(AppError::invalid("turns", "A call has 1 to 100 turns."));
        }
        for (place, turn) in turns.iter().enumerate() {
            require_parts(&Turn::path(place, turn.is_from_user), &turn.parts)?;
        }
        let parts = match turns.pop() {
            None => return Err(AppError::invalid("turns", "A call has 1 to 100 turns.")),
            Some(newest) if newest.is_from_user => newest.parts,
            Some(_) => {
                let path = format!("turns.{}", turns.len());
                return Err(AppError::invalid(&path, "The newest turn comes from the user."));
            }
        };
        let one_shot = OneShot {
            system_prompt: system_prompt.map(require_system_prompt).transpose()?,
            turns: turns.into_iter().map(Turn::into_past).collect(),
        };
        Ok(Self {
            conversation_id: None,
            account_id,
            follows: Follows::Head,
            parts,
            model,
            options,
            one_shot: Some(one_shot),
        })
    }
}
