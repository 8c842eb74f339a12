//! What the guard answers when it refuses, and the fault its parts pass up before line and column are known.

use super::lexer;

/// Why a request was refused; the edge maps it to the public error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalCode {
    /// The document is not of the GraphQL grammar.
    ParseFailed,
    /// The document is grammatical, yet no operation of it can be run.
    ValidationFailed,
    /// Fields or values nest too deeply.
    TooDeep,
    /// Something was asked for too often, or the document is too large.
    TooExpensive,
    /// A value sent beside the document is too large, or names no operation of it.
    BadUserInput,
}

/// A refused request. Nothing of it was executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: RefusalCode,
    /// A finished sentence for the client's developer.
    pub message: String,
    /// Line of the document, from 1; 0 where the refusal is about no place in the document.
    pub line: u32,
    /// Column in characters, from 1; 0 where the refusal is about no place in the document.
    pub column: u32,
    /// What was counted when the guard stopped: a lower bound, since it stops at the first value too many.
    pub measured: Option<u64>,
    /// The limit that was exceeded; present together with `measured`.
    pub maximum: Option<u64>,
    /// Work done until the refusal, in steps.
    pub steps: u64,
}

/// Where and why a part of the guard stopped.
#[derive(Debug)]
pub(super) struct Fault {
    pub code: RefusalCode,
    pub message: String,
    /// Byte offset into the document; none for variables and for the request as a whole.
    pub at: Option<usize>,
    pub excess: Option<(u64, u64)>,
}

impl Fault {
    pub fn parse(at: usize, message: impl Into<String>) -> Self {
        Self { code: RefusalCode::ParseFailed, message: message.into(), at: Some(at), excess: None }
    }

    pub fn validation(at: Option<usize>, message: impl Into<String>) -> Self {
        Self { code: RefusalCode::ValidationFailed, message: message.into(), at, excess: None }
    }

    /// The request as a whole is wrong.
    pub fn input(message: impl Into<String>) -> Self {
        Self { code: RefusalCode::BadUserInput, message: message.into(), at: None, excess: None }
    }

    /// `what` is the beginning of a sentence that the numbers end.
    pub fn excess(code: RefusalCode, at: Option<usize>, what: &str, measured: u64, maximum: u64) -> Self {
        let message = format!("{what} ({measured}); the limit is {maximum}.");
        Self { code, message, at, excess: Some((measured, maximum)) }
    }

    pub fn into_refusal(self, document: &str, steps: u64) -> Refusal {
        let (line, column) = self.at.map_or((0, 0), |at| lexer::line_and_column(document, at));
        let (measured, maximum) = self.excess.unzip();
        Refusal { code: self.code, message: self.message, line, column, measured, maximum, steps }
    }
}

/// A name from the document, fit for a message: at most 64 bytes of it.
pub(super) fn shown(name: &str) -> String {
    let end = name.char_indices().map(|(at, _)| at).take_while(|&at| at <= 64).last().unwrap_or(0);
    match name.get(..end) {
        Some(head) if name.len() > 64 => format!("`{head}…`"),
        _ => format!("`{name}`"),
    }
}
