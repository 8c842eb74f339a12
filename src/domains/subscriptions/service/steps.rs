//! One step of one subscription: one transaction, in a task that nobody cuts.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use uuid::Uuid;

use super::{Request, Subscriptions, no_subscription};
use crate::{
    domains::{
        catalog::{Catalog, Plan},
        credits::{self, NewGrant},
        subscriptions::{
            model::{Cause, InForce, NewChangeRow, SubscriptionRow},
            renewal::{self, Booking, Grant, Renewal, Step, UnknownPlan},
            repo,
        },
    },
    error::{AppError, Result},
    platform::ids::new_uuid,
};

/// What is wanted beside what is due.
pub(super) enum Wish {
    Nothing,
    Change(Arc<Plan>),
    Schedule(Arc<Plan>),
    Set(Arc<Plan>),
    Lend(Arc<Plan>, DateTime<Utc>),
}

impl Wish {
    fn plan(&self) -> Option<&Plan> {
        match self {
            Self::Nothing => None,
            Self::Change(plan) | Self::Schedule(plan) | Self::Set(plan) | Self::Lend(plan, _) => Some(plan),
        }
    }

    fn apply<'a>(
        &self,
        renewal: Renewal<'a, Catalog>,
        now: DateTime<Utc>,
    ) -> Result<Renewal<'a, Catalog>, UnknownPlan> {
        Ok(match self {
            Self::Nothing => renewal,
            Self::Change(plan) => renewal.change(Arc::clone(plan), Cause::Change, now),
            Self::Schedule(plan) => renewal.schedule(plan)?,
            Self::Set(plan) => renewal.change(Arc::clone(plan), Cause::Administrator, now),
            Self::Lend(plan, until) => renewal.lend(Arc::clone(plan), *until, now),
        })
    }
}

impl Subscriptions {
    /// Does what is due, and then what is wished.
    pub(super) async fn step(
        &self,
        account_id: Uuid,
        wish: Wish,
        request: Option<Request>,
    ) -> Result<InForce> {
        self.tasks.require_running()?;
        let this = self.clone();
        let work = async move {
            match this.try_step(account_id, &wish, request.as_ref()).await {
                // A catalogue that was applied a moment ago.
                Err(error)
                    if std::error::Error::source(&error).is_some_and(|cause| cause.is::<UnknownPlan>()) =>
                {
                    this.catalog.load().await?;
                    this.try_step(account_id, &wish, request.as_ref()).await
                }
                known => known,
            }
        };
        self.tasks.run(work).await
    }

    async fn try_step(&self, account_id: Uuid, wish: &Wish, request: Option<&Request>) -> Result<InForce> {
        let mut conn = self.db.conn().await?;
        let step = conn.transaction(async |conn| self.step_in_tx(conn, account_id, wish, request).await);
        self.in_force(step.await?).map_err(AppError::internal)
    }

    async fn step_in_tx(
        &self,
        conn: &mut AsyncPgConnection,
        account_id: Uuid,
        wish: &Wish,
        request: Option<&Request>,
    ) -> Result<SubscriptionRow> {
        let locked = repo::lock_unscoped(conn, account_id).await?;
        let (row, now) = locked.ok_or_else(|| no_subscription(account_id))?;
        // Whoever waited for the lock may have asked for the time before the period began.
        let now = now.max(row.period_started_at);
        credits::lock_wallets_in_tx(conn, account_id, renewal::meters(&row, wish.plan(), &self.catalog))
            .await?;
        let period = (row.period_started_at, row.period_ends_at);
        let grants = credits::list_period_grants(conn, account_id, period).await?;
        let new_id = || new_uuid(&self.clock);
        let step = Renewal::of(&row, &grants, &self.catalog, &new_id)
            .and_then(|renewal| renewal.bring_to(now))
            .and_then(|renewal| wish.apply(renewal, now))
            .map_err(AppError::internal)?
            .finish();
        for booking in &step.bookings {
            self.book(conn, account_id, booking, request.and_then(|request| request.by)).await?;
        }
        if step.row != row {
            write(conn, &step, request).await?;
        }
        Ok(step.row)
    }

    pub(super) async fn book(
        &self,
        conn: &mut AsyncPgConnection,
        account_id: Uuid,
        booking: &Booking,
        user_id: Option<Uuid>,
    ) -> Result<()> {
        let Booking::Grant(grant) = booking else { return credits::expire_in_tx(conn, account_id).await };
        let Grant { meter, source, key, amount, starts_at, expires_at, description } = grant;
        let grant = NewGrant {
            id: new_uuid(&self.clock),
            account_id,
            meter: *meter,
            source: *source,
            source_key: key,
            amount: *amount,
            starts_at: *starts_at,
            expires_at: *expires_at,
            user_id,
            description,
        };
        credits::grant_in_tx(conn, &grant).await.map(drop)
    }
}

async fn write(conn: &mut AsyncPgConnection, step: &Step, request: Option<&Request>) -> Result<()> {
    if !repo::update(conn, &step.row).await? {
        let words = "a subscription was changed by somebody who had not locked it";
        return Err(AppError::internal(anyhow::anyhow!(words)));
    }
    for change in &step.changes {
        let request = request.filter(|_| change.cause.is_asked_for());
        let change = NewChangeRow {
            id: change.id,
            subscription_id: step.row.id,
            from_plan_id: change.from_plan_id,
            to_plan_id: change.to_plan_id,
            cause: change.cause.as_str(),
            reason: request.map(|request| request.reason.as_str()),
            requested_by: request.and_then(|request| request.by),
        };
        repo::insert_change(conn, &change).await?;
    }
    Ok(())
}
