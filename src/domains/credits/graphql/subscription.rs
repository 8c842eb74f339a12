//! Watching balances and limits.

use async_graphql::{Context, Result, Subscription};
use futures_util::{Stream, StreamExt};

use super::{balance::CreditBalance, quota::Quota};
use crate::{
    domains::{accounts::AccountRow, credits::AccountWatch, subscriptions::Subscriptions},
    error::{AppError, ErrorCode},
    graphql::{
        ContextExt,
        access::{AccessLevel, Declared, access},
        errors::raise,
    },
    platform::ids::Id,
};

#[derive(Default)]
pub struct CreditsSubscription;

#[Subscription(guard = "Declared")]
impl CreditsSubscription {
    /// Balance of an account: the current one, then each newer one.
    #[graphql(directive = access::apply(AccessLevel::User))]
    async fn credit_balance_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Account to watch; absent: `viewer.account`.")] account_id: Option<Id<AccountRow>>,
    ) -> Result<impl Stream<Item = Result<CreditBalance>> + use<>> {
        let viewer = ctx.viewer();
        let account_id = account_id.map_or(viewer.personal_account_id(), |id| id.0);
        let (subscriptions, watch) = (ctx.handle::<Subscriptions>(), ctx.handle::<AccountWatch>());
        let events = subscriptions.watch_balance(watch, viewer.user_id, account_id).await.map_err(raise)?;
        let events = events.ok_or_else(missing).map_err(raise)?;
        Ok(events.map(move |event| event.map(|balance| CreditBalance { account_id, balance }).map_err(raise)))
    }

    /// Limits of an account: each current one, then each one that changes.
    #[graphql(directive = access::apply(AccessLevel::User))]
    async fn quota_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Account to watch; absent: `viewer.account`.")] account_id: Option<Id<AccountRow>>,
    ) -> Result<impl Stream<Item = Result<Quota>> + use<>> {
        let viewer = ctx.viewer();
        let account_id = account_id.map_or(viewer.personal_account_id(), |id| id.0);
        let (subscriptions, watch) = (ctx.handle::<Subscriptions>(), ctx.handle::<AccountWatch>());
        let events = subscriptions.watch_quotas(watch, viewer.user_id, account_id).await.map_err(raise)?;
        let events = events.ok_or_else(missing).map_err(raise)?;
        Ok(events.map(|event| event.map(Quota::from).map_err(raise)))
    }
}

fn missing() -> AppError {
    AppError::new(ErrorCode::BadUserInput, "This account does not exist.")
}
