//! Credits as they stand.

use async_graphql::{Context, Object, Result};
use uuid::Uuid;

use crate::{
    domains::{
        credits::{Balance, Credits},
        subscriptions::graphql::in_force,
    },
    graphql::scalars::{DateTime, Decimal},
};

/// Credits of an account right now.
#[derive(Debug, Clone)]
pub struct CreditBalance {
    pub account_id: Uuid,
    pub balance: Balance,
}

/// Credits of an account right now.
#[Object]
impl CreditBalance {
    /// Credits that may be spent; below 0 only after a refund or dispute.
    async fn available(&self) -> Decimal {
        Credits(self.balance.available).into()
    }

    /// Credits reserved by work in progress.
    async fn held(&self) -> Decimal {
        Credits(self.balance.held).into()
    }

    /// When the plan next grants credits, or null when it never does.
    async fn resets_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime>> {
        let known = in_force(ctx, self.account_id).await?;
        Ok(known.and_then(|known| known.next_credits_at()).map(DateTime::from))
    }

    /// Grows by one with every change; drop anything older than what you have.
    async fn revision(&self) -> i32 {
        i32::try_from(self.balance.revision).unwrap_or(i32::MAX)
    }
}
