//! A field that may be null and fails is null, with its error beside it. The engine lets such an error pass through
//! to the parent; the specification (6.4.4, handling execution errors) ends it at the nearest nullable field.

use std::sync::{Mutex, PoisonError};

use async_graphql::{Response, ServerError, ServerResult, TypeDirective, Value};

/// Null only when this field failed, in which case `errors` says why; never null as a value.
#[TypeDirective(name = "semanticNonNull", location = "FieldDefinition")]
pub fn semantic_non_null(
    #[graphql(desc = "List depths the promise holds for; 0 is the field itself.", default_with = "vec![0]")]
    levels: Vec<i32>,
) {
}

/// Errors of the fields that became null in one operation.
#[derive(Default)]
pub(super) struct NullBoundary(Mutex<Vec<ServerError>>);

impl NullBoundary {
    /// What a field of this type is worth: one that may be null and failed is null.
    pub(super) fn end(
        &self,
        return_type: &str,
        result: ServerResult<Option<Value>>,
    ) -> ServerResult<Option<Value>> {
        match result {
            Err(error) if !return_type.ends_with('!') => {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                Ok(None)
            }
            result => result,
        }
    }

    /// Puts the errors beside the data that they are of.
    pub(super) fn tell(&self, response: &mut Response) {
        response.errors.append(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
