//! Who may call a root field. Said once, by the directive `@access` beside the resolver: it is printed in the schema
//! and read back from it by the guard, so that the two cannot differ. A root field without it is closed.

use async_graphql::{
    Context, Error, Guard, InputType, Result, TypeDirective, Value, parser::types::OperationType,
};

use super::{ContextExt, errors};
use crate::error::{AppError, ErrorCode};

/// Kind of caller that a root field lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
pub enum AccessLevel {
    /// Anyone, with or without a credential.
    Public,
    /// A signed-in person, or an API key that holds a scope of the field.
    User,
}

/// Who may call a root field: a level and, for API keys, the scopes of which the key must hold one; without `scope` no API key is accepted.
#[TypeDirective(location = "FieldDefinition")]
pub fn access(#[graphql(desc = "Lowest kind of caller that is let in.")] level: AccessLevel) {}

/// Lets in whom the directive of the field lets in.
pub struct Declared;

impl Guard for Declared {
    async fn check(&self, ctx: &Context<'_>) -> Result<()> {
        match declared_level(ctx) {
            Some(AccessLevel::Public) => Ok(()),
            Some(AccessLevel::User) if ctx.caller().viewer.is_some() => Ok(()),
            Some(AccessLevel::User) => Err(deny(ErrorCode::Unauthenticated, "Please sign in first.")),
            None => Err(deny(ErrorCode::Forbidden, "This field is closed.")),
        }
    }
}

fn deny(code: ErrorCode, message: &'static str) -> Error {
    errors::top_level(&AppError::new(code, message))
}

fn declared_level(ctx: &Context<'_>) -> Option<AccessLevel> {
    let registry = &ctx.schema_env.registry;
    let root = match ctx.query_env.operation.node.ty {
        OperationType::Query => &registry.query_type,
        OperationType::Mutation => registry.mutation_type.as_ref()?,
        OperationType::Subscription => registry.subscription_type.as_ref()?,
    };
    let field = registry.types.get(root)?.field_by_name(ctx.item.node.name.node.as_str())?;
    let directive = field.directive_invocations.iter().find(|directive| directive.name == "access")?;
    let level: &Value = directive.args.get("level")?;
    AccessLevel::parse(Some(level.clone())).ok()
}
