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

pub mod cost;
#[cfg(test)]
mod cost_tests;
mod introspection;
mod selection;
mod variables;
mod verdict;

use std::{
    any::TypeId,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use async_graphql::{
    Pos, Request, Response, ServerError, ServerResult, ValidationResult, async_trait,
    extensions::{
        Extension, ExtensionContext, ExtensionFactory, NextExecute, NextPrepareRequest, NextValidation,
    },
    parser::parse_query,
};

pub use introspection::Introspection;
use verdict::{Case, Verdict};

use super::Caller;
use crate::error::{AppError, ErrorCode};

/// Extension of the schema, and what the operator decides. It finds the [`Caller`] among the data of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    pub introspection: Introspection,
    /// Most points that one operation may cost.
    pub operation_cost: u64,
}

impl ExtensionFactory for Admission {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Gate { policy: *self, verdict: OnceLock::new(), has_told_cost: AtomicBool::new(false) })
    }
}

/// Admission of one request.
struct Gate {
    policy: Admission,
    verdict: OnceLock<Verdict>,
    /// The events of a subscription stay small: the first alone says what it cost.
    has_told_cost: AtomicBool,
}

#[async_trait::async_trait]
impl Extension for Gate {
    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        let mut request = next.run(ctx, request).await?;
        // A copy: the document of a subscription stays as long as its stream, and the parser leaves room in every list.
        let document = parse_query(&request.query).map_err(not_grammatical)?.clone();
        let Some(caller) = caller(&request) else {
            let error = AppError::internal(anyhow::anyhow!("a request without its caller"));
            return Err(refusal_of(&error, Pos::default()));
        };
        let case = Case {
            registry: &ctx.schema_env.registry,
            policy: self.policy,
            caller,
            document: &document,
            operation_name: request.operation_name.as_deref(),
            variables: &request.variables,
        };
        let verdict = case.judge()?;
        // A request is prepared once.
        let _ = self.verdict.set(verdict);
        request.set_parsed_query(document);
        Ok(request)
    }

    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let refused = self.verdict.get().map_or(&[][..], |verdict| verdict.errors.as_slice());
        match next.run(ctx).await {
            Ok(result) if refused.is_empty() => Ok(result),
            Ok(_) => Err(refused.to_vec()),
            Err(errors) => Err(with_verdict(errors, refused)),
        }
    }

    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        let mut response = next.run(ctx, operation_name).await;
        let has_told = self.has_told_cost.swap(true, Ordering::Relaxed);
        if let Some(verdict) = self.verdict.get().filter(|_| !has_told) {
            response.extensions.insert("cost".to_owned(), verdict.cost.clone());
        }
        response
    }
}

fn caller(request: &Request) -> Option<&Caller> {
    request.data.get(&TypeId::of::<Caller>())?.downcast_ref()
}

/// The engine measures values of variables by the rules for documents; where the request is refused anyway, that says
/// less than the verdict, and too early.
fn with_verdict(mut errors: Vec<ServerError>, refused: &[ServerError]) -> Vec<ServerError> {
    if !refused.is_empty() {
        errors.retain(|error| !error.message.starts_with("Invalid value for argument"));
    }
    if errors.is_empty() { refused.to_vec() } else { errors }
}

/// The engine knows a little less of the grammar than the guard.
fn not_grammatical(error: async_graphql::parser::Error) -> ServerError {
    let mut error = ServerError::from(error);
    error.extensions.get_or_insert_default().set("code", ErrorCode::ParseFailed.as_str());
    error
}

/// A failure as an error of the request; it is logged here, where it leaves the product.
fn refusal_of(error: &AppError, pos: Pos) -> ServerError {
    error.log();
    refusal(error.code(), error.message(), pos)
}

/// An error of the request at a place of its document.
fn refusal(code: ErrorCode, message: impl Into<String>, pos: Pos) -> ServerError {
    let mut error = ServerError::new(message, Some(pos));
    error.extensions.get_or_insert_default().set("code", code.as_str());
    error
}
