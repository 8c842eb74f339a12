//! Credits received.

use async_graphql::{Enum, Object, Result};

use crate::{
    domains::credits::{Credits, GrantRow, GrantSource},
    error::AppError,
    graphql::{
        errors::raise,
        scalars::{DateTime, Decimal},
    },
    platform::ids::Id,
};

/// Credits received at one time, spent in order of expiry and bought ones last.
#[derive(Clone)]
pub struct CreditGrant(pub GrantRow);

/// Credits received at one time, spent in order of expiry and bought ones last.
#[Object]
impl CreditGrant {
    /// Id with the prefix `grt_`.
    pub async fn id(&self) -> Id<GrantRow> {
        self.0.id.into()
    }

    /// Where the credits came from.
    async fn source(&self) -> Result<CreditSource> {
        let unknown = || AppError::internal(anyhow::anyhow!("a grant by {}", self.0.source));
        GrantSource::parse(&self.0.source).map(Into::into).ok_or_else(unknown).map_err(raise)
    }

    /// Credits received.
    async fn granted(&self) -> Decimal {
        Credits(self.0.amount).into()
    }

    /// Credits neither spent, held, expired nor taken back.
    async fn remaining(&self) -> Decimal {
        Credits(self.0.available).into()
    }

    /// When the rest expires, or null for never.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(DateTime::from)
    }

    /// When the credits were received.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }
}

/// Where credits came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "GrantSource")]
pub enum CreditSource {
    /// Included in the plan for one period.
    Plan,
    /// Carried over from the period before.
    Rollover,
    /// Bought as a pack.
    Purchase,
    /// Given as a welcome or promotion.
    Promotion,
    /// Given or taken by an administrator.
    Adjustment,
}
