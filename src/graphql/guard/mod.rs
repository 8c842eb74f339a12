//! The document guard: refuses requests that would cost more to understand than a request may cost.
//!
//! It runs before the engine, on every transport, on the text of the document. The engine validates fragments
//! without memory, so 800 bytes of it can hold a core for seconds; it recurses on the depth of its input; and
//! it runs a mutation twice that is selected twice. Here:
//!
//! - work is linear in the bytes: every loop counts its turns, and tests hold the sum to 50 for each byte;
//! - memory is proportional to the bytes and bounded by [`Limits`];
//! - nothing recurses on the input;
//! - what passes costs the engine a bounded amount of work, errors and memory, without any limit of its own;
//! - what passes is read by the engine as it was read here, or refused by it as not grammatical.
//!
//! The grammar is that of the September 2025 edition. The engine knows a little less: it refuses descriptions,
//! directives behind the default of a variable, blanks inside list types, `\u{…}` and surrogate pairs. Two
//! things it misreads, so they are refused here: enum values that begin with `true`, `false` or `null`, and a
//! comment between `on` and the type.
//!
//! Undefined fragments, types and all that needs the schema is left to the engine.

mod document;
mod expansion;
mod lexer;
mod limits;
mod parser;
mod refusal;
mod strings;
mod values;
mod variables;
mod walk;

pub use limits::Limits;
pub use refusal::{Refusal, RefusalCode};
pub use variables::check_variables;

use document::{Document, Name, Operation};
use lexer::Steps;
use refusal::{Fault, shown};
use std::collections::HashSet;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    Query,
    Mutation,
    Subscription,
}

impl OperationKind {
    /// The word of the grammar.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Mutation => "mutation",
            Self::Subscription => "subscription",
        }
    }
}

/// What the guard knows of a document it let pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// The kind of the operation to run.
    pub operation: OperationKind,
    /// Its name in the document.
    pub name: Option<String>,
    /// Names, not aliases, of its root fields in the order of the document, fragments expanded, repetitions
    /// included; at most [`Limits::root_fields`].
    pub root_fields: Vec<String>,
    /// Uses of variables, as [`Limits::variable_uses`] counts them.
    pub variable_uses: u64,
    /// Work done, in steps: one for every turn of a loop that touches the document.
    pub steps: u64,
}

/// Checks a document and finds the operation to run: the one named, or the only one.
///
/// Limits that keep the engine safe hold for every operation and fragment of the document, since the engine
/// validates them all; those of root fields only for the operation to run.
pub fn check(document: &str, operation_name: Option<&str>, limits: &Limits) -> Result<Passed, Refusal> {
    let mut steps = Steps::default();
    let checked = check_document(document, operation_name, limits, &mut steps);
    checked.map_err(|fault| fault.into_refusal(document, steps.total()))
}

fn check_document(
    text: &str,
    operation_name: Option<&str>,
    limits: &Limits,
    steps: &mut Steps,
) -> Result<Passed, Fault> {
    if text.len() > limits.bytes {
        let (length, maximum) = (text.len() as u64, limits.bytes as u64);
        let what = "This document has too many bytes";
        return Err(Fault::excess(RefusalCode::TooExpensive, None, what, length, maximum));
    }
    let document = parser::parse(text, limits, steps)?;
    check_names(&document, steps)?;
    let (chosen, operation) = choose(&document, operation_name, steps)?;
    let name = operation.name.map(|name| document.names.text(name).to_owned());
    let variable_uses = expansion::check(&document, limits, steps)?;
    let root_fields = walk::check(&document, chosen, limits, steps)?;
    Ok(Passed { operation: operation.kind, name, root_fields, variable_uses, steps: steps.total() })
}

/// Every operation has a name of its own, or there is only one.
fn check_names(document: &Document, steps: &mut Steps) -> Result<(), Fault> {
    let mut names: HashSet<Name> = HashSet::new();
    for operation in &document.operations {
        steps.take();
        match operation.name {
            None if document.operations.len() > 1 => {
                let message = "An operation without a name must be the only one of its document.";
                return Err(Fault::validation(Some(operation.at), message));
            }
            Some(name) if !names.insert(name) => {
                let name = shown(document.names.text(name));
                let message = format!("There is more than one operation named {name}.");
                return Err(Fault::validation(Some(operation.at), message));
            }
            _ => {}
        }
    }
    Ok(())
}

fn choose<'d>(
    document: &'d Document,
    wanted: Option<&str>,
    steps: &mut Steps,
) -> Result<(usize, &'d Operation), Fault> {
    let Some(wanted) = wanted else {
        return match document.operations.as_slice() {
            [only] => Ok((0, only)),
            [] => Err(Fault::validation(None, "The document holds no operation.")),
            _ => Err(Fault::input("The document holds several operations; name the one to run.")),
        };
    };
    for (index, operation) in document.operations.iter().enumerate() {
        steps.take();
        if operation.name.is_some_and(|name| document.names.text(name) == wanted) {
            return Ok((index, operation));
        }
    }
    Err(Fault::input(format!("Unknown operation named {}.", shown(wanted))))
}
