//! A field that may be null and fails is null, with its error beside it. The engine lets such an error pass through
//! to the parent; the specification (6.4.4, handling execution errors) ends it at the nearest nullable field.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{
    Response, ServerError, ServerResult, TypeDirective, Value, async_trait,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute, NextResolve, ResolveInfo},
};

/// Null only when this field failed, in which case `errors` says why; never null as a value.
#[TypeDirective(name = "semanticNonNull", location = "FieldDefinition")]
pub fn semantic_non_null(
    #[graphql(desc = "List depths the promise holds for; 0 is the field itself.", default_with = "vec![0]")]
    levels: Vec<i32>,
) {
}

/// Extension of the schema.
pub struct NullBoundary;

impl ExtensionFactory for NullBoundary {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Boundary::default())
    }
}

/// Errors of the fields that became null in one operation.
#[derive(Default)]
struct Boundary(Mutex<Vec<ServerError>>);

#[async_trait::async_trait]
impl Extension for Boundary {
    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let is_nullable = !info.return_type.ends_with('!');
        match next.run(ctx, info).await {
            Err(error) if is_nullable => {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                Ok(None)
            }
            result => result,
        }
    }

    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        let mut response = next.run(ctx, operation_name).await;
        response.errors.append(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        response
    }
}
