//! Inputs and payloads that several domains share.

use async_graphql::{ID, InputObject, SimpleObject};

use super::errors::UserError;
use crate::{
    error::AppError,
    platform::ids::{Entity, Id},
};

/// Object to act on, of the type that the mutation names.
#[derive(InputObject)]
pub struct IdInput {
    /// Id of the object.
    pub id: ID,
}

impl IdInput {
    /// The id, of the type that the mutation acts on.
    pub fn parse<E: Entity>(&self) -> Result<Id<E>, AppError> {
        Id::parse(&self.id).map_err(|message| AppError::invalid("id", message))
    }
}

/// Result of a removal.
#[derive(SimpleObject)]
pub struct DeletePayload {
    /// Id of the removed object, or null when nothing was removed.
    pub deleted_id: Option<ID>,
    /// What the caller can put right; empty on success.
    pub user_errors: Vec<UserError>,
}

/// Result of an action that has nothing to show.
#[derive(SimpleObject)]
pub struct AckPayload {
    /// True when the request was accepted; says nothing about whether an address or person exists.
    pub is_accepted: bool,
    /// What the caller can put right; empty on success.
    pub user_errors: Vec<UserError>,
}
