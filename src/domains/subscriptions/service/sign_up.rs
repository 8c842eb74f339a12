//! The first day of an account.

use async_trait::async_trait;
use diesel_async::AsyncPgConnection;
use uuid::Uuid;

use super::Subscriptions;
use crate::{
    domains::{
        accounts::NewAccountEffect,
        subscriptions::{
            model::SubscriptionRow,
            periods::Period,
            renewal::{Booking, begin, zone},
            repo,
        },
    },
    error::Result,
    platform::ids::new_uuid,
};

#[async_trait]
impl NewAccountEffect for Subscriptions {
    /// The default plan and its first period, which begins now.
    async fn account_created_in_tx(
        &self,
        conn: &mut AsyncPgConnection,
        account_id: Uuid,
        user_id: Uuid,
    ) -> Result<()> {
        let plan = self.catalog.default_plan();
        let now = repo::current_time(conn).await?;
        let period = Period::first(now, zone(&plan.content));
        let row = SubscriptionRow {
            id: new_uuid(&self.clock),
            account_id,
            plan_id: plan.id,
            next_plan_id: None,
            reverts_to_plan_id: None,
            reverts_at: None,
            anchor_at: now,
            period: period.number,
            period_started_at: period.starts_at,
            period_ends_at: period.ends_at,
            revision: 0,
        };
        repo::insert(conn, &row).await?;
        for grant in begin(&row, &plan) {
            self.book(conn, account_id, &Booking::Grant(grant), Some(user_id)).await?;
        }
        Ok(())
    }
}
