//! Who may call a root field. Said once, by the directive `@access` beside the resolver: it is printed in the schema
//! and read back from it, by the guard of every root field and by the admission of whole operations, so that the three
//! cannot differ. A root field without it is closed.

use async_graphql::{
    Context, Guard, InputType, Result, TypeDirective, Value,
    parser::types::OperationType,
    registry::{MetaField, MetaTypeName, Registry},
};

use super::{
    ContextExt,
    context::{Caller, Credential},
    errors,
};
use crate::{
    domains::accounts::Accounts,
    error::{AppError, ErrorCode},
};

/// Kind of caller that a root field lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
pub enum AccessLevel {
    /// Anyone, with or without a credential.
    Public,
    /// A signed-in person, or an API key that holds a scope of the field.
    User,
    /// A platform administrator.
    Admin,
}

/// Who may call a root field: a level and, for API keys, the scopes of which the key must hold one; without `scope` no API key is accepted.
#[TypeDirective(location = "FieldDefinition")]
pub fn access(#[graphql(desc = "Lowest kind of caller that is let in.")] level: AccessLevel) {}

/// Types of public root fields whose objects depend on who asks.
const PERSONAL: [&str; 2] = ["Viewer", "Node"];

/// Lets in whom the directive of the field lets in.
pub struct Declared;

impl Guard for Declared {
    async fn check(&self, ctx: &Context<'_>) -> Result<()> {
        let registry = &ctx.schema_env.registry;
        let root = root_type(registry, ctx.query_env.operation.node.ty);
        let field =
            root.and_then(|root| registry.types.get(root)?.field_by_name(ctx.item.node.name.node.as_str()));
        check(field, ctx.caller()).map_err(errors::raise)?;
        if field.and_then(declared_level) == Some(AccessLevel::Admin) {
            // Asked every time: whoever is no administrator any more is none from that moment. In a box, because it is rare.
            let accounts = ctx.handle::<Accounts>();
            Box::pin(accounts.require_admin(ctx.viewer())).await.map_err(errors::raise)?;
        }
        Ok(())
    }
}

/// Name of the type that an operation of this kind selects from.
pub fn root_type(registry: &Registry, kind: OperationType) -> Option<&str> {
    match kind {
        OperationType::Query => Some(&registry.query_type),
        OperationType::Mutation => registry.mutation_type.as_deref(),
        OperationType::Subscription => registry.subscription_type.as_deref(),
    }
}

/// Whether the caller may call this root field, as far as the credential says; who is an administrator stands in the
/// database.
///
/// A credential that is no good does not close what is public: clients attach an expired token to `refreshSession`. Only
/// what depends on who asks is closed, because it would read as if nothing was there.
///
/// # Errors
/// What the field answers instead.
pub fn check(field: Option<&MetaField>, caller: &Caller) -> Result<(), AppError> {
    let level = field.and_then(declared_level);
    let is_personal =
        field.is_some_and(|field| PERSONAL.contains(&MetaTypeName::concrete_typename(&field.ty)));
    match (level, &caller.credential) {
        (None, _) => Err(AppError::new(ErrorCode::Forbidden, "This field is closed.")),
        (Some(AccessLevel::Public), Credential::Refused(error)) if is_personal => Err(error.clone()),
        (Some(AccessLevel::Public), _) | (Some(_), Credential::Signed(_)) => Ok(()),
        (Some(_), Credential::Refused(error)) => Err(error.clone()),
        (Some(_), Credential::Anonymous) => {
            Err(AppError::new(ErrorCode::Unauthenticated, "Please sign in first."))
        }
    }
}

fn declared_level(field: &MetaField) -> Option<AccessLevel> {
    let directive = field.directive_invocations.iter().find(|directive| directive.name == "access")?;
    let level: &Value = directive.args.get("level")?;
    AccessLevel::parse(Some(level.clone())).ok()
}
