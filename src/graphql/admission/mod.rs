//! What is decided between the document guard and the first resolver, for whole operations and on every transport:
//! whether the caller may do any of it, whether the schema may be read, whether the variables have the declared types,
//! and whether it costs too much.
//!
//! Invariants:
//!
//! - a refused operation executes nothing, and its errors are at no field;
//! - who may not is told so before anything else is looked at; then comes what does not fit the schema, then what is
//!   wrong with the variables, then what is too expensive;
//! - the work is bounded by what the document guard lets pass.

mod bill;
#[cfg(test)]
mod bill_tests;
pub mod cost;
#[cfg(test)]
mod cost_tests;
mod introspection;
mod selection;
mod variables;
mod verdict;

use std::any::TypeId;

use async_graphql::{
    Pos, Request, ServerError, ServerResult,
    parser::{
        parse_query,
        types::{ExecutableDocument, OperationType},
    },
    registry::Registry,
};

pub use introspection::Introspection;
use verdict::Case;
pub(super) use verdict::Verdict;

use super::{Caller, errors};
use crate::error::{AppError, ErrorCode};

/// What the operator decides about operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    pub introspection: Introspection,
    /// Most points that one operation may cost.
    pub operation_cost: u64,
}

impl Admission {
    /// Judges a request, which comes back with its document. Finds the [`Caller`] among the data of the request.
    ///
    /// # Errors
    /// The caller may not run it, or the document cannot be read.
    pub(super) fn judge(self, registry: &Registry, mut request: Request) -> ServerResult<(Request, Verdict)> {
        let document = compact(parse_query(&request.query).map_err(not_grammatical)?);
        let Some(caller) = caller(&request) else {
            let error = AppError::internal(anyhow::anyhow!("a request without its caller"));
            return Err(refusal_of(&error, Pos::default()));
        };
        let case = Case {
            registry,
            policy: self,
            caller,
            document: &document,
            operation_name: request.operation_name.as_deref(),
            variables: &request.variables,
        };
        let verdict = case.judge()?;
        request.set_parsed_query(document);
        Ok((request, verdict))
    }
}

fn caller(request: &Request) -> Option<&Caller> {
    request.data.get(&TypeId::of::<Caller>())?.downcast_ref()
}

/// The document of a subscription stays as long as its stream, and the parser leaves room in every list: a copy has none.
fn compact(document: ExecutableDocument) -> ExecutableDocument {
    let is_long_lived =
        document.operations.iter().any(|(_, operation)| operation.node.ty == OperationType::Subscription);
    if is_long_lived { document.clone() } else { document }
}

/// The engine knows a little less of the grammar than the guard.
fn not_grammatical(error: async_graphql::parser::Error) -> ServerError {
    let mut error = ServerError::from(error);
    error.extensions.get_or_insert_default().set("code", ErrorCode::ParseFailed.as_str());
    error
}

/// A failure as an error of the request; it is logged here, where it leaves the product.
pub(super) fn refusal_of(error: &AppError, pos: Pos) -> ServerError {
    error.log();
    let mut refused = ServerError::new(error.message(), Some(pos));
    refused.extensions = Some(errors::extensions(error));
    refused
}

/// An error of the request at a place of its document.
fn refusal(code: ErrorCode, message: impl Into<String>, pos: Pos) -> ServerError {
    let mut error = ServerError::new(message, Some(pos));
    error.extensions.get_or_insert_default().set("code", code.as_str());
    error
}
