//! Reads of people and accounts.

use async_graphql::{Context, Object, Result};

use super::types::Viewer;
use crate::{
    domains::accounts::AccountRow,
    graphql::{
        Account, ContextExt,
        access::{AccessLevel, Declared, access},
        errors::raise,
    },
    platform::ids::Id,
};

#[derive(Default)]
pub struct AccountsQuery;

#[Object(guard = "Declared")]
impl AccountsQuery {
    /// The caller, or null without a valid credential.
    #[graphql(directive = access::apply(AccessLevel::Public))]
    async fn viewer(&self, ctx: &Context<'_>) -> Option<Viewer> {
        ctx.caller().credential.viewer().map(Viewer)
    }

    /// An account the caller belongs to, or null.
    #[graphql(directive = access::apply(AccessLevel::User))]
    async fn account(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Id of the account.")] id: Id<AccountRow>,
    ) -> Result<Option<Account>> {
        let account = ctx.loaders().accounts.load_one(id.0).await.map_err(raise)?;
        Ok(account.map(Account::from))
    }
}
