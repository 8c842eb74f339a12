//! Reads of runs.

use async_graphql::{Context, Object, Result};

use super::types::Generation;
use crate::{
    domains::generations::GenerationRow,
    graphql::{
        ContextExt,
        access::{AccessLevel, Declared, access},
        errors::raise,
    },
    platform::ids::Id,
};

#[derive(Default)]
pub struct GenerationsQuery;

#[Object(guard = "Declared")]
impl GenerationsQuery {
    /// A model call the caller may see, or null.
    #[graphql(directive = access::apply(AccessLevel::User))]
    async fn generation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Id of the generation.")] id: Id<GenerationRow>,
    ) -> Result<Option<Generation>> {
        Ok(ctx.loaders().generations.load_one(id.0).await.map_err(raise)?.map(Generation::of_row))
    }
}
