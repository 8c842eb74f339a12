//! Plans that administrators put in force.

use async_graphql::{Context, InputObject, Object, Result};

use crate::{
    domains::{
        accounts::{
            AccountRow,
            graphql::{AccountPayload, seen_account},
        },
        catalog::Plan,
        credits::AccountWatch,
        subscriptions::{Request, Subscriptions},
    },
    graphql::{
        ContextExt,
        access::{AccessLevel, Declared, access},
        errors::split,
        scalars::DateTime,
    },
    platform::ids::Id,
};

/// Plan for an account without payment.
#[derive(InputObject)]
pub struct SetAccountPlanInput {
    /// Account it concerns.
    account_id: Id<AccountRow>,
    /// Plan to put in force.
    plan_id: Id<Plan>,
    /// When the plan it had comes back; never when absent.
    expires_at: Option<DateTime>,
    /// Reason for the audit log.
    reason: String,
}

#[derive(Default)]
pub struct SubscriptionsMutation;

#[Object(guard = "Declared")]
impl SubscriptionsMutation {
    /// Puts a plan in force without payment.
    #[graphql(directive = access::apply(AccessLevel::Admin))]
    async fn set_account_plan(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Plan.")] input: SetAccountPlanInput,
    ) -> Result<AccountPayload> {
        let SetAccountPlanInput { account_id, plan_id, expires_at, reason } = input;
        let request = Request { reason, by: Some(ctx.viewer().user_id) };
        let until = expires_at.map(|at| at.0);
        let result = ctx.handle::<Subscriptions>().set_plan(account_id.0, plan_id.0, until, request).await;
        Ok(match split(ctx, result)? {
            Ok(_) => {
                ctx.handle::<AccountWatch>().hint(account_id.0);
                AccountPayload { account: seen_account(ctx, account_id.0).await?, user_errors: Vec::new() }
            }
            Err(user_errors) => AccountPayload { account: None, user_errors },
        })
    }
}
