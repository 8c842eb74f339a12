//! Credits, movements and limits of an account. Whoever reads them sees an account that is up to date: what was due is done
//! first.

use async_graphql::{Context, Object, Result};
use uuid::Uuid;

use super::{
    balance::CreditBalance,
    grant::CreditGrant,
    ledger::{LedgerEntry, LedgerEntryConnection, LedgerEntryKind},
    quota::{Quota, shown},
};
use crate::{
    domains::{
        accounts::graphql::AccountRef,
        credits::{EntryKind, EntryPage, LedgerEntryRow, Standing},
        subscriptions::{Subscriptions, graphql::in_force},
    },
    graphql::{
        ContextExt,
        errors::raise,
        pagination::{PageKey, decode_cursor, encode_cursor, page_size, row_limit},
    },
};

/// What an account of the viewer may spend, once what is due is done; `None` for an account of others.
pub async fn balance_of(ctx: &Context<'_>, account_id: Uuid) -> Result<Option<CreditBalance>> {
    let balances = &ctx.loaders().balances;
    let standing = balances.load_one(account_id).await.map_err(raise)?;
    let Some(Standing { balance, is_due }) = standing else { return Ok(None) };
    if !is_due {
        return Ok(Some(CreditBalance { account_id, balance }));
    }
    // In a box, because it is rare.
    let renewal = Box::pin(ctx.handle::<Subscriptions>().bring_up_to_date(account_id));
    renewal.await.map_err(raise)?;
    let standing = balances.load_one(account_id).await.map_err(raise)?;
    Ok(standing.map(|standing| CreditBalance { account_id, balance: standing.balance }))
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

    /// Grants with credits left, in the order they will be spent.
    async fn credit_grants(&self, ctx: &Context<'_>) -> Result<Vec<CreditGrant>> {
        // What is due is part of it, as it is of the balance.
        balance_of(ctx, self.0.row.id).await?;
        let grants = ctx.loaders().left_grants.load_one(self.0.row.id).await.map_err(raise)?;
        Ok(grants.unwrap_or_default().into_iter().map(CreditGrant).collect())
    }

    /// Every limit that applies to the caller in this account.
    async fn quotas(&self, ctx: &Context<'_>) -> Result<Vec<Quota>> {
        let account_id = self.0.row.id;
        let Some(in_force) = in_force(ctx, account_id).await? else { return Ok(Vec::new()) };
        let Some(counts) = ctx.loaders().counts.load_one(account_id).await.map_err(raise)? else {
            return Ok(Vec::new());
        };
        Ok(shown(ctx.handle::<Subscriptions>().quotas_of(&in_force, &counts)))
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
        let before_revision: Option<i64> = before.transpose()?;
        let page = EntryPage { limit: row_limit(size), before_revision, kinds };
        let key = PageKey { owner: self.0.row.id, page };
        let mut rows = ctx.loaders().entry_pages.load_one(key).await.map_err(raise)?.unwrap_or_default();
        let has_next = rows.len() > size;
        rows.truncate(size);
        let item = |row: LedgerEntryRow| {
            let cursor = encode_cursor(&list, &row.revision.to_string());
            (LedgerEntry(row), cursor)
        };
        Ok(LedgerEntryConnection::new(
            rows.into_iter().map(item).collect(),
            before_revision.is_some(),
            has_next,
        ))
    }
}

/// A cursor belongs to one account and one choice of kinds.
fn list_name(account: Uuid, kinds: &[EntryKind]) -> String {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    format!("ledger.{}.{}", account.simple(), kinds.join("+"))
}
