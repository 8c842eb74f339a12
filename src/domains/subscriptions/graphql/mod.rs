//! The plan in force in the API.

mod mutation;

use async_graphql::{Context, Object, Result};
use uuid::Uuid;

pub use mutation::SubscriptionsMutation;

use super::{InForce, Subscriptions};
use crate::{
    domains::{accounts::graphql::AccountRef, catalog::graphql::Plan},
    graphql::{ContextExt, errors::raise, null_boundary::semantic_non_null},
};

/// What an account of the viewer has now, once what is due is done; `None` for an account of others.
pub async fn in_force(ctx: &Context<'_>, account_id: Uuid) -> Result<Option<InForce>> {
    let row = ctx.loaders().subscriptions.load_one(account_id).await.map_err(raise)?;
    match row {
        None => Ok(None),
        Some(row) => ctx.handle::<Subscriptions>().current(row).await.map(Some).map_err(raise),
    }
}

/// The plan of an account.
#[derive(Clone)]
pub struct AccountPlan(pub AccountRef);

#[Object]
impl AccountPlan {
    /// Plan in force.
    #[graphql(directive = semantic_non_null::apply(vec![0]))]
    async fn plan(&self, ctx: &Context<'_>) -> Result<Option<Plan>> {
        Ok(in_force(ctx, self.0.row.id).await?.map(|found| Plan(found.plan)))
    }
}
