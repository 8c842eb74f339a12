//! What is judged, and the judgement.

use uuid::Uuid;

/// All that a model would be sent, before it is fitted to the model.
#[derive(Debug, Clone)]
pub struct Submission<'a> {
    /// Account that pays.
    pub account_id: Uuid,
    /// Person who asks.
    pub user_id: Uuid,
    /// In the order in which the model would read it.
    pub passages: Vec<Passage<'a>>,
}

/// One text of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage<'a> {
    /// Where it stands in the input, such as `parts.0.text`; `None` of what was stored before.
    pub path: Option<String>,
    pub text: &'a str,
}

/// What becomes of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// Nothing of it is sent, because of the passage at this place among them.
    Blocked {
        passage: usize,
    },
}
