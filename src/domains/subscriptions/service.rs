//! Reading which plan is in force, keeping it up to date, and changing it.

mod due;
mod reads;
mod sign_up;
mod steps;
mod watch;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    model::{InForce, SubscriptionRow, When},
    renewal::{Offer, UnknownPlan},
    repo,
};
use crate::{
    domains::{
        catalog::{Catalog, Plan},
        credits::require_reason,
    },
    error::{AppError, ErrorCode, Result},
    platform::{clock::Clock, postgres::Db, tasks::Tasks},
};
use steps::Wish;

/// What subscriptions are made of.
pub struct Parts {
    pub db: Db,
    pub clock: Clock,
    pub tasks: Tasks,
    pub catalog: Catalog,
}

/// The use cases; clones share everything.
#[derive(Clone)]
pub struct Subscriptions {
    db: Db,
    clock: Clock,
    tasks: Tasks,
    catalog: Catalog,
}

/// Why somebody changes a plan.
#[derive(Debug, Clone)]
pub struct Request {
    /// For the history; 1 to 500 characters on one line.
    pub reason: String,
    /// The person, unless it is a command or a payment.
    pub by: Option<Uuid>,
}

impl Subscriptions {
    pub fn new(parts: Parts) -> Self {
        let Parts { db, clock, tasks, catalog } = parts;
        Self { db, clock, tasks, catalog }
    }

    /// What an account of the viewer has; what is due is done first.
    pub async fn of_account(&self, viewer: Uuid, account_id: Uuid) -> Result<InForce> {
        let rows = repo::list(&mut *self.db.conn().await?, viewer, &[account_id]).await?;
        let row = rows.into_iter().next().ok_or_else(|| AppError::not_found("accountId", "account"))?;
        self.current(row).await
    }

    /// What this row puts in force; what is due is done first. Without I/O when nothing is.
    pub async fn current(&self, row: SubscriptionRow) -> Result<InForce> {
        let now = self.clock.now();
        self.current_at(row, now).await
    }

    /// The same at the instant `now` of the database.
    pub async fn current_at(&self, row: SubscriptionRow, now: DateTime<Utc>) -> Result<InForce> {
        if row.is_due(now) {
            return self.bring_up_to_date(row.account_id).await;
        }
        match self.in_force(row.clone()) {
            // A catalogue that was applied a moment ago.
            Err(UnknownPlan(_)) => {
                self.catalog.load().await?;
                self.in_force(row).map_err(AppError::internal)
            }
            known => known.map_err(AppError::internal),
        }
    }

    /// What this row puts in force, due or not: from memory.
    pub fn in_force(&self, subscription: SubscriptionRow) -> Result<InForce, UnknownPlan> {
        let catalog_version = self.catalog.version();
        let plan = self.catalog.plan(subscription.plan_id).ok_or(UnknownPlan(subscription.plan_id))?;
        Ok(InForce { plan, subscription, catalog_version })
    }

    /// Does what is due: books what has expired, and ends and begins periods and loans. Repeating it changes nothing.
    pub async fn bring_up_to_date(&self, account_id: Uuid) -> Result<InForce> {
        self.step(account_id, Wish::Nothing, None).await
    }

    /// Changes the plan as the customer wishes. At once, what the plan includes beyond what this period was granted is
    /// granted too, and nothing is taken back; at the end of the period, it takes over with the renewal.
    pub async fn change_plan(
        &self,
        account_id: Uuid,
        plan_id: Uuid,
        when: When,
        request: Request,
    ) -> Result<InForce> {
        let plan = self.catalog.plan(plan_id).filter(|plan| plan.is_offered);
        let plan = plan.ok_or_else(|| AppError::not_found("planId", "plan"))?;
        let wish = match when {
            When::Now => Wish::Change(plan),
            When::PeriodEnd => Wish::Schedule(plan),
        };
        require_reason(&request.reason)?;
        self.step(account_id, wish, Some(request)).await
    }

    /// Puts a plan in force at once, without payment. With `until`, the plan that the customer has comes back then.
    pub async fn set_plan(
        &self,
        account_id: Uuid,
        plan_id: Uuid,
        until: Option<DateTime<Utc>>,
        request: Request,
    ) -> Result<InForce> {
        let plan = self.catalog.plan(plan_id);
        let plan = plan.ok_or_else(|| AppError::not_found("planId", "plan"))?;
        let wish = match until {
            None => Wish::Set(plan),
            Some(until) if until > self.clock.now() => Wish::Lend(plan, until),
            Some(_) => return Err(AppError::invalid("expiresAt", "This is in the past.")),
        };
        require_reason(&request.reason)?;
        self.step(account_id, wish, Some(request)).await
    }
}

impl Offer for Catalog {
    fn plan(&self, id: Uuid) -> Option<Arc<Plan>> {
        self.plan(id)
    }

    fn offered(&self, key: &str) -> Option<Arc<Plan>> {
        self.plan_by_key(key)
    }
}

fn no_subscription(account_id: Uuid) -> AppError {
    AppError::with_source(
        ErrorCode::NotFound,
        "This account does not exist.",
        anyhow::anyhow!("account {account_id} has no subscription"),
    )
}
