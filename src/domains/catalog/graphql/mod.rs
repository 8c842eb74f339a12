//! The catalogue in the API.

mod models;
mod plans;

use async_graphql::{Context, Object, Result};

use super::Catalog;
use crate::graphql::{
    ContextExt,
    access::{AccessLevel, Declared, access},
};

pub use models::Model;
pub use plans::{Feature, Meter, Plan, QuotaScope, QuotaWindow, amount_of};

#[derive(Default)]
pub struct CatalogQuery;

#[Object(guard = "Declared")]
impl CatalogQuery {
    /// Plans on offer, cheapest first.
    #[graphql(directive = access::apply(AccessLevel::Public))]
    async fn plans(&self, ctx: &Context<'_>) -> Result<Vec<Plan>> {
        Ok(ctx.handle::<Catalog>().plans().into_iter().map(Plan).collect())
    }

    /// Chargeable abilities and their prices.
    #[graphql(directive = access::apply(AccessLevel::Public))]
    async fn features(&self, ctx: &Context<'_>) -> Result<Vec<Feature>> {
        Ok(ctx.handle::<Catalog>().features().into_iter().map(Feature).collect())
    }

    /// Models in the catalogue.
    #[graphql(directive = access::apply(AccessLevel::Public))]
    async fn models(&self, ctx: &Context<'_>) -> Result<Vec<Model>> {
        Ok(ctx.handle::<Catalog>().models().into_iter().map(Model).collect())
    }
}
