//! Granting, reading and checking credits.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use uuid::Uuid;

use super::{
    model::{EntryKind, LedgerEntryRow},
    repo::{self, Checked, EntryPage, NewGrant},
};
use crate::{
    domains::{accounts::NewAccountEffect, catalog::Catalog},
    error::Result,
    platform::{clock::Clock, ids::new_uuid, postgres::Db},
};

pub use repo::Difference;

/// Plan credits are spent before all others.
const PLAN_PRIORITY: i16 = 10;

/// The ledger of all accounts; clones share it.
#[derive(Clone)]
pub struct CreditLedger {
    db: Db,
    clock: Clock,
    catalog: Catalog,
}

impl CreditLedger {
    pub fn new(db: Db, clock: Clock, catalog: Catalog) -> Self {
        Self { db, clock, catalog }
    }

    /// Movements of an account, newest first: `limit` of them before the entry with revision `before`.
    pub async fn entries(
        &self,
        viewer: Uuid,
        account_id: Uuid,
        before: Option<i64>,
        kinds: &[EntryKind],
        limit: i64,
    ) -> Result<Vec<LedgerEntryRow>> {
        let mut conn = self.db.conn().await?;
        let page = EntryPage { account_id, before_revision: before, kinds, limit };
        Ok(repo::page_entries(&mut conn, viewer, &page).await?)
    }

    /// Compares the books with each other and with the work they paid for.
    pub async fn check(&self) -> Result<(Checked, Vec<Difference>)> {
        check(&self.db).await
    }
}

/// [`CreditLedger::check`] for those who need nothing else. It may take minutes, and may be cut.
pub async fn check(db: &Db) -> Result<(Checked, Vec<Difference>)> {
    db.transaction(|conn| {
        async move {
            repo::be_patient(conn).await?;
            let counts = repo::count_checked_unscoped(conn).await?;
            Ok((counts, repo::list_differences_unscoped(conn).await?))
        }
        .boxed()
    })
    .await
}

/// Notes what a check has found.
pub async fn note_check(conn: &mut AsyncPgConnection, differences: usize) -> Result<()> {
    Ok(repo::insert_check(conn, i64::try_from(differences).unwrap_or(i64::MAX)).await?)
}

/// When the books were checked last, and how many differences there were.
pub async fn last_check(conn: &mut AsyncPgConnection) -> Result<Option<(DateTime<Utc>, i64)>> {
    Ok(repo::find_last_check(conn).await?)
}

#[async_trait]
impl NewAccountEffect for CreditLedger {
    /// The credits of the default plan, once.
    async fn account_created_in_tx(
        &self,
        conn: &mut AsyncPgConnection,
        account_id: Uuid,
        user_id: Uuid,
    ) -> Result<()> {
        let plan = self.catalog.default_plan();
        repo::ensure_wallet(conn, new_uuid(&self.clock), account_id).await?;
        let credits = plan.content.credits.unwrap_or_default();
        if credits > 0 {
            let grant = NewGrant {
                id: new_uuid(&self.clock),
                account_id,
                source: "plan",
                source_key: "sign_up",
                amount: credits,
                priority: PLAN_PRIORITY,
                user_id: Some(user_id),
                description: "Credits of your plan",
            };
            repo::insert_grant(conn, &grant).await?;
        }
        Ok(())
    }
}
