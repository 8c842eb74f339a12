//! Movements of credits.

use async_graphql::{Context, Enum, Object, Result};

use super::{adjustment::CreditAdjustment, grant::CreditGrant};
use crate::{
    domains::{
        accounts::graphql::User,
        credits::{Credits, EntryKind, LedgerEntryRow},
    },
    error::AppError,
    graphql::{
        ContextExt, Generation,
        errors::raise,
        pagination::connection,
        scalars::{DateTime, Decimal},
        types::Node,
    },
    platform::ids::Id,
};

/// Kind of movement in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "EntryKind")]
pub enum LedgerEntryKind {
    /// Credits received.
    Grant,
    /// Credits reserved before work.
    Hold,
    /// Reserved credits spent, the rest returned.
    Settle,
    /// Reserved credits returned in full.
    Release,
    /// Credits that reached the end of their life.
    Expire,
    /// Spent credits given back, or bought credits taken back after a refund.
    Refund,
    /// Correction by an administrator.
    Adjust,
}

/// Movement in the append-only ledger of an account; never changed, only followed by another.
#[derive(Clone)]
pub struct LedgerEntry(pub LedgerEntryRow);

/// Movement in the append-only ledger of an account; never changed, only followed by another.
#[Object]
impl LedgerEntry {
    /// Id with the prefix `led_`.
    pub async fn id(&self) -> Id<LedgerEntryRow> {
        self.0.id.into()
    }

    /// Kind of movement.
    async fn kind(&self) -> Result<LedgerEntryKind> {
        let unknown = || AppError::internal(anyhow::anyhow!("ledger entry of kind {}", self.0.kind));
        EntryKind::parse(&self.0.kind).map(Into::into).ok_or_else(unknown).map_err(raise)
    }

    /// Credits that became available (positive) or stopped being available (negative).
    async fn amount(&self) -> Decimal {
        Credits(self.0.amount).into()
    }

    /// Available credits after the movement.
    async fn balance_after(&self) -> Decimal {
        Credits(self.0.balance_after).into()
    }

    /// Sentence for a statement, such as `Image analysis`.
    async fn description(&self) -> &str {
        &self.0.description
    }

    /// Grant the credits belong to, or null when several were touched.
    async fn grant(&self, ctx: &Context<'_>) -> Result<Option<CreditGrant>> {
        let grant = ctx.loaders().grants.load_one(self.0.grant_id).await.map_err(raise)?;
        Ok(grant.map(CreditGrant))
    }

    /// What it was for: a generation, task, payment or credit adjustment; null when that was removed.
    async fn subject(&self, ctx: &Context<'_>) -> Result<Option<Node>> {
        if self.0.kind == EntryKind::Adjust.as_str() {
            // What was given is a grant of the adjustment's id.
            let id = self.0.taking_id.unwrap_or(self.0.grant_id);
            let row = ctx.loaders().adjustments.load_one(id).await.map_err(raise)?;
            return Ok(row.map(|row| Node::CreditAdjustment(CreditAdjustment(row))));
        }
        let Some(id) = self.0.hold_id else { return Ok(None) };
        let row = ctx.loaders().generations.load_one(id).await.map_err(raise)?;
        Ok(row.map(|row| Node::Generation(Generation::of_row(row))))
    }

    /// Person who caused it, or null for the server.
    async fn user(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        let Some(id) = self.0.user_id else { return Ok(None) };
        Ok(ctx.loaders().users.load_one(id).await.map_err(raise)?.map(User))
    }

    /// When it was booked.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }
}

connection!(
    LedgerEntry,
    LedgerEntryConnection,
    LedgerEntryEdge,
    "Page of a list of ledger entries.",
    "Place of one ledger entry in a list.",
    "The ledger entry."
);
