//! Rows of subscriptions, and what follows from one.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::{pg::Pg, prelude::*};
use serde::Deserialize;
use uuid::Uuid;

use super::periods::Period;
use crate::{
    domains::{
        catalog::Plan,
        credits::{Anchors, Bounds},
    },
    schema::{subscription_changes, subscriptions},
};

/// Which plan an account has, and which period it is in.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset, Deserialize)]
#[diesel(table_name = subscriptions, check_for_backend(Pg), treat_none_as_null = true)]
pub struct SubscriptionRow {
    pub id: Uuid,
    pub account_id: Uuid,
    /// Version of the plan in force.
    pub plan_id: Uuid,
    /// Takes over when the period ends.
    pub next_plan_id: Option<Uuid>,
    /// Comes back at `reverts_at`, when the plan in force is on loan.
    pub reverts_to_plan_id: Option<Uuid>,
    pub reverts_at: Option<DateTime<Utc>>,
    /// Periods are months from here.
    pub anchor_at: DateTime<Utc>,
    /// Number of the current period; the first is 0.
    pub period: i32,
    pub period_started_at: DateTime<Utc>,
    pub period_ends_at: DateTime<Utc>,
    /// Grows by one with every change.
    pub revision: i64,
}

impl SubscriptionRow {
    /// The period it was brought to last.
    pub fn period(&self) -> Period {
        Period { number: self.period, starts_at: self.period_started_at, ends_at: self.period_ends_at }
    }

    /// True when its period or its loan is over, and nobody has acted on that yet.
    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.period_ends_at <= now || self.reverts_at.is_some_and(|at| at <= now)
    }

    pub(super) fn enter(&mut self, period: Period) {
        self.period = period.number;
        self.period_started_at = period.starts_at;
        self.period_ends_at = period.ends_at;
    }
}

/// What an account has at the moment.
#[derive(Debug, Clone)]
pub struct InForce {
    pub plan: Arc<Plan>,
    pub subscription: SubscriptionRow,
    /// Version of the catalogue that this was read from.
    pub catalog_version: i64,
}

impl InForce {
    /// When the plan next grants credits; `None` when it grants none.
    pub fn next_credits_at(&self) -> Option<DateTime<Utc>> {
        self.plan.content.credits.filter(|credits| *credits > 0).map(|_| self.subscription.period_ends_at)
    }

    /// From where the windows of an account are counted that was made at `sign_up`.
    pub fn anchors(&self, sign_up: DateTime<Utc>) -> Anchors {
        let Period { starts_at, ends_at, .. } = self.subscription.period();
        let period = Bounds { starts: starts_at, ends: ends_at };
        let terms = self.subscription.revision + self.catalog_version;
        Anchors { sign_up, subscription: self.subscription.anchor_at, period, terms }
    }

    /// The same as what an account that was made at `sign_up` pays with at the instant `now`.
    pub fn into_payer(self, sign_up: DateTime<Utc>, now: DateTime<Utc>) -> Payer {
        let SubscriptionRow { period_ends_at, reverts_at, .. } = self.subscription;
        let until = reverts_at.map_or(period_ends_at, |at| at.min(period_ends_at));
        Payer { anchors: self.anchors(sign_up), plan: self.plan, now, until }
    }
}

/// Who pays: the plan in force, and from where the windows of the account are counted.
#[derive(Debug, Clone)]
pub struct Payer {
    pub plan: Arc<Plan>,
    pub anchors: Anchors,
    /// When all of this was so. The database's time: whether a call is within its windows is decided there.
    pub now: DateTime<Utc>,
    /// The end of the period, or of the loan of the plan before it.
    pub until: DateTime<Utc>,
}

/// When a change of plan takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At once, within the same period.
    Now,
    /// When the period ends.
    PeriodEnd,
}

/// Why a plan took the place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The customer's wish, at once.
    Change,
    /// The customer's wish for the end of the period.
    Scheduled,
    /// An administrator put it in force.
    Administrator,
    /// A period began.
    Renewal,
    /// The plan in force was on loan, and the time was over.
    Reversion,
}

impl Cause {
    /// True when somebody wanted it just now; false when the time brought it.
    pub fn is_asked_for(self) -> bool {
        !matches!(self, Self::Renewal | Self::Reversion)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Scheduled => "scheduled",
            Self::Administrator => "administrator",
            Self::Renewal => "renewal",
            Self::Reversion => "reversion",
        }
    }
}

/// One plan in the place of another, for the history of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanChange {
    /// Of this change; what it grants is granted under it.
    pub id: Uuid,
    pub from_plan_id: Uuid,
    pub to_plan_id: Uuid,
    pub cause: Cause,
}

/// A change of plan as it is stored.
#[derive(Insertable)]
#[diesel(table_name = subscription_changes)]
pub struct NewChangeRow<'a> {
    pub id: Uuid,
    pub subscription_id: Uuid,
    pub from_plan_id: Uuid,
    pub to_plan_id: Uuid,
    pub cause: &'static str,
    pub reason: Option<&'a str>,
    pub requested_by: Option<Uuid>,
}
