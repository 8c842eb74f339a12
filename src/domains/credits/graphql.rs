//! Balances and the ledger in the API.

use async_graphql::{Context, Enum, Interface, Object, Result, SimpleObject};
use uuid::Uuid;

use crate::{
    domains::{
        accounts::graphql::{AccountRef, User},
        conversations::graphql::ConversationPayload,
        credits::{self, CreditLedger, Credits, EntryKind, LedgerEntryRow, Standing},
        generations::graphql::{GenerationPayload, SendMessagePayload},
        subscriptions::Subscriptions,
    },
    graphql::{
        ContextExt, Generation,
        errors::{UserError, raise},
        pagination::{connection, decode_cursor, encode_cursor, page_size},
        scalars::{DateTime, Decimal},
        types::Node,
    },
    platform::ids::Id,
};

/// Credits of an account right now.
#[derive(Debug, Clone, SimpleObject)]
pub struct CreditBalance {
    /// Credits that may be spent; below 0 only after a refund or dispute.
    pub available: Decimal,
    /// Credits reserved by work in progress.
    pub held: Decimal,
    /// When the plan next grants credits, or null when it never does.
    pub resets_at: Option<DateTime>,
    /// Grows by one with every change; drop anything older than what you have.
    pub revision: i32,
}

impl From<credits::Balance> for CreditBalance {
    fn from(balance: credits::Balance) -> Self {
        Self {
            available: Credits(balance.available).into(),
            held: Credits(balance.held).into(),
            resets_at: None,
            revision: i32::try_from(balance.revision).unwrap_or(i32::MAX),
        }
    }
}

/// Fields of every payload whose mutation spends credits or quota.
#[derive(Interface)]
#[graphql(
    field(
        name = "credit_balance",
        ty = "&Option<CreditBalance>",
        desc = "Credits after the call, or null for members without sight of the balance."
    ),
    field(
        name = "user_errors",
        ty = "&Vec<UserError>",
        desc = "What the caller can put right; empty on success."
    )
)]
pub enum PaidPayload {
    Conversation(ConversationPayload),
    SendMessage(SendMessagePayload),
    Generation(GenerationPayload),
}

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
        let unknown =
            || crate::error::AppError::internal(anyhow::anyhow!("ledger entry of kind {}", self.0.kind));
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

    /// What it was for: a generation, task, payment or credit adjustment; null when that was removed.
    async fn subject(&self, ctx: &Context<'_>) -> Result<Option<Node>> {
        let Some(id) = self.0.hold_id else { return Ok(None) };
        let row = ctx.loaders().generations.load_one(id).await.map_err(raise)?;
        Ok(row.map(|row| Node::Generation(Generation(row))))
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

/// What an account of the viewer may spend, once what is due is done; `None` for an account of others.
pub async fn balance_of(ctx: &Context<'_>, account_id: Uuid) -> Result<Option<CreditBalance>> {
    let standing = ctx.loaders().balances.load_one(account_id).await.map_err(raise)?;
    let Some(Standing { balance, is_due }) = standing else { return Ok(None) };
    if !is_due {
        return Ok(Some(balance.into()));
    }
    ctx.handle::<Subscriptions>().bring_up_to_date(account_id).await.map_err(raise)?;
    let balance = ctx.handle::<CreditLedger>().balance(ctx.viewer().user_id, account_id).await;
    balance.map(|balance| Some(balance.into())).map_err(raise)
}

/// Credits of an account.
#[derive(Clone)]
pub struct AccountCredits(pub AccountRef);

#[Object]
impl AccountCredits {
    /// Credits right now; null for members without sight of the balance.
    async fn credit_balance(&self, ctx: &Context<'_>) -> Result<Option<CreditBalance>> {
        balance_of(ctx, self.0.row.id).await
    }

    /// Every movement of credits, newest first.
    async fn ledger(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most this many, 1 to 100.", default = 25)] first: Option<i32>,
        #[graphql(desc = "Cursor to read on from.")] after: Option<String>,
        #[graphql(desc = "Only these kinds; all when absent.")] kinds: Option<Vec<LedgerEntryKind>>,
    ) -> Result<LedgerEntryConnection> {
        let kinds: Vec<EntryKind> = kinds.unwrap_or_default().into_iter().map(Into::into).collect();
        // Each once and in a fixed order: the same choice is the same list, however it is written.
        let kinds: Vec<EntryKind> = EntryKind::ALL.into_iter().filter(|kind| kinds.contains(kind)).collect();
        let list = list_name(self.0.row.id, &kinds);
        let size = page_size("first", first)?;
        // What is due is part of it, as it is of the balance.
        balance_of(ctx, self.0.row.id).await?;
        let before = after.as_deref().map(|cursor| decode_cursor(&list, cursor, |place| place.parse().ok()));
        let before: Option<i64> = before.transpose()?;
        let limit = i64::try_from(size + 1).unwrap_or(i64::MAX);
        let ledger = ctx.handle::<CreditLedger>();
        // In a box, because every field of an object is as large as its largest.
        let entries = Box::pin(ledger.entries(ctx.viewer().user_id, self.0.row.id, before, &kinds, limit));
        let mut rows = entries.await.map_err(raise)?;
        let has_next = rows.len() > size;
        rows.truncate(size);
        let item = |row: LedgerEntryRow| {
            let cursor = encode_cursor(&list, &row.revision.to_string());
            (LedgerEntry(row), cursor)
        };
        Ok(LedgerEntryConnection::new(rows.into_iter().map(item).collect(), before.is_some(), has_next))
    }
}

/// A cursor belongs to one account and one choice of kinds.
fn list_name(account: uuid::Uuid, kinds: &[EntryKind]) -> String {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    format!("ledger.{}.{}", account.simple(), kinds.join("+"))
}
