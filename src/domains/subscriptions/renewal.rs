//! What becomes of a subscription as time goes on and plans change: decided from what is known, without a database.
//!
//! A [`Step`] is what one look at a subscription leads to: the row as it is from now on, what the ledger books, and what
//! the history says. Looking again at the same instant leads to nothing. It makes no difference how often somebody looked
//! in between, but that a period through which nobody looked is skipped: only the current one is granted.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use super::{
    included::{Included, included},
    model::{Cause, PlanChange, SubscriptionRow},
};
use crate::domains::{
    catalog::{Meter, Plan, PlanContent, Rollover, Window},
    credits::{GrantSource, PeriodGrant},
};

/// Where plans come from.
pub trait Offer {
    /// Any version that somebody has.
    fn plan(&self, id: Uuid) -> Option<Arc<Plan>>;

    /// The version that is offered now, of the plan of this key.
    fn offered(&self, key: &str) -> Option<Arc<Plan>>;
}

/// A subscription names a plan that this process does not know, perhaps because it is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("plan {0} is not known here")]
pub struct UnknownPlan(pub Uuid);

/// What the ledger is asked to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Booking {
    /// Whatever the account has whose time is over.
    Expire,
    Grant(Grant),
}

/// Something granted by a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub meter: Meter,
    pub source: GrantSource,
    /// Granted once under it.
    pub key: String,
    pub amount: i64,
    pub starts_at: DateTime<Utc>,
    /// `None`: never.
    pub expires_at: Option<DateTime<Utc>>,
    pub description: String,
}

/// What a look or a change leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub row: SubscriptionRow,
    pub bookings: Vec<Booking>,
    pub changes: Vec<PlanChange>,
}

/// Zone of the periods of a plan: that of its limits by period, or UTC when it has none.
pub fn zone(plan: &PlanContent) -> Tz {
    plan.limits.iter().find(|limit| limit.window == Window::Period).map_or(Tz::UTC, |limit| limit.zone)
}

/// Meters of all that a step from this row can grant, `wished` included.
pub fn meters(row: &SubscriptionRow, wished: Option<&Plan>, offer: &impl Offer) -> BTreeSet<Meter> {
    let ids = [Some(row.plan_id), row.next_plan_id, row.reverts_to_plan_id];
    let known = ids.into_iter().flatten().filter_map(|id| offer.plan(id));
    let plans: Vec<_> = known.flat_map(|plan| [offer.offered(&plan.key), Some(plan)]).flatten().collect();
    let contents = plans.iter().map(|plan| &plan.content).chain(wished.map(|plan| &plan.content));
    contents.flat_map(included).map(|included| included.meter).collect()
}

/// A subscription on its way from one state to the next.
pub struct Renewal<'a, O> {
    offer: &'a O,
    /// Makes the ids of changes.
    new_id: &'a (dyn Fn() -> Uuid + Sync),
    before: &'a SubscriptionRow,
    grants: &'a [PeriodGrant],
    step: Step,
    plan: Arc<Plan>,
    /// What plans have granted in the current period, spent or not.
    given: HashMap<Meter, i64>,
}

impl<'a, O: Offer> Renewal<'a, O> {
    /// Begins with what is stored: the row and the grants of its period.
    pub fn of(
        row: &'a SubscriptionRow,
        grants: &'a [PeriodGrant],
        offer: &'a O,
        new_id: &'a (dyn Fn() -> Uuid + Sync),
    ) -> Result<Self, UnknownPlan> {
        let plan = offer.plan(row.plan_id).ok_or(UnknownPlan(row.plan_id))?;
        let mut given = HashMap::new();
        for grant in grants.iter().filter(|grant| grant.source == GrantSource::Plan && grant.is_of_period) {
            *given.entry(grant.meter).or_default() += grant.amount;
        }
        let step = Step { row: row.clone(), bookings: Vec::new(), changes: Vec::new() };
        Ok(Self { offer, new_id, before: row, grants, step, plan, given })
    }

    /// Lets the time go on to `now`: what is over expires, then the period ends, then a loan.
    pub fn bring_to(mut self, now: DateTime<Utc>) -> Result<Self, UnknownPlan> {
        self.step.bookings.push(Booking::Expire);
        if self.step.row.period_ends_at <= now {
            self.renew(now)?;
        }
        if let Some(plan_id) = self.returning(now) {
            let plan = self.known(plan_id)?;
            self.end_loan();
            self.put_in_force(plan, Cause::Reversion, now);
        }
        Ok(self)
    }

    /// Puts a plan in force at `now`, as the customer's own.
    pub fn change(mut self, plan: Arc<Plan>, cause: Cause, now: DateTime<Utc>) -> Self {
        self.end_loan();
        self.step.row.next_plan_id = None;
        self.put_in_force(plan, cause, now);
        self
    }

    /// Puts a plan in force at `now` that goes away again at `until`, when the one that the customer has comes back.
    pub fn lend(mut self, plan: Arc<Plan>, until: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let row = &mut self.step.row;
        row.reverts_to_plan_id.get_or_insert(row.plan_id);
        row.reverts_at = Some(until);
        self.put_in_force(plan, Cause::Administrator, now);
        self
    }

    /// Lets a plan take over when the period ends; the one that the customer has anyway takes such a wish back.
    pub fn schedule(mut self, plan: &Plan) -> Result<Self, UnknownPlan> {
        let own = self.step.row.reverts_to_plan_id.unwrap_or(self.plan.id);
        let is_own = self.known(own)?.key == plan.key;
        let wish = if is_own { None } else { Some(plan.id) };
        if wish != self.step.row.next_plan_id {
            self.step.row.next_plan_id = wish;
            self.note(own, plan.id, Cause::Scheduled);
        }
        Ok(self)
    }

    /// What it all leads to.
    pub fn finish(mut self) -> Step {
        if self.step.row != *self.before {
            self.step.row.revision += 1;
        }
        self.step
    }

    /// The plan that a loan that is over by `instant` leaves behind.
    fn returning(&self, instant: DateTime<Utc>) -> Option<Uuid> {
        let row = &self.step.row;
        row.reverts_at.filter(|at| *at <= instant).and(row.reverts_to_plan_id)
    }

    fn end_loan(&mut self) {
        self.step.row.reverts_at = None;
        self.step.row.reverts_to_plan_id = None;
    }

    /// Ends the period and begins the current one.
    fn renew(&mut self, now: DateTime<Utc>) -> Result<(), UnknownPlan> {
        let ended = Arc::clone(&self.plan);
        let (plan, cause) = self.successor(now)?;
        let row = &mut self.step.row;
        row.enter(row.period().next(row.anchor_at, zone(&plan.content), now));
        self.given.clear();
        self.roll_over(&ended);
        for grant in begin(&self.step.row, &plan) {
            self.book(grant);
        }
        self.replace(plan, cause);
        Ok(())
    }

    /// The plan of the period that is current at `now`, in the version that is offered by now. A wish for the end of the
    /// period is about the customer's own plan, so while one is on loan it changes what comes back.
    fn successor(&mut self, now: DateTime<Utc>) -> Result<(Arc<Plan>, Cause), UnknownPlan> {
        let row = &self.step.row;
        let begins_at = row.period().next(row.anchor_at, zone(&self.plan.content), now).starts_at;
        let back = self.returning(begins_at);
        let wished = self.step.row.next_plan_id.take();
        if let Some(own) = self.step.row.reverts_to_plan_id {
            let own = self.renewed(wished.unwrap_or(own))?;
            if back.is_some() {
                self.end_loan();
                return Ok((own, Cause::Reversion));
            }
            self.step.row.reverts_to_plan_id = Some(own.id);
            return Ok((self.renewed(self.plan.id)?, Cause::Renewal));
        }
        Ok((self.renewed(wished.unwrap_or(self.plan.id))?, Cause::Renewal))
    }

    /// The rest of what the ended period had, as far as its plan lets it stay, for the new period.
    fn roll_over(&mut self, ended: &Plan) {
        for included in included(&ended.content) {
            let ending = self.grants.iter().filter(|grant| grant.meter == included.meter && grant.is_ending);
            let amount = included.carried(ending.map(|grant| grant.rest).sum());
            if amount > 0 {
                let row = &self.step.row;
                let carried = Included { amount, ..included };
                let words = format!("Carried over from {}", ended.content.name);
                let source = GrantSource::Rollover;
                let grant = Grant::new(carried, source, period_key(row), row.period_started_at, row, words);
                self.book(grant);
            }
        }
    }

    /// Puts another plan in force within the period. What it includes and the period has not had yet is granted, so that
    /// going up, down and up again wins nothing.
    fn put_in_force(&mut self, plan: Arc<Plan>, cause: Cause, now: DateTime<Utc>) {
        let Some(change_id) = self.replace(Arc::clone(&plan), cause) else { return };
        for included in included(&plan.content) {
            let more = included.amount - self.given.get(&included.meter).copied().unwrap_or_default();
            if more > 0 {
                let included = Included { amount: more, ..included };
                let (row, key) = (&self.step.row, format!("change:{change_id}"));
                let grant = Grant::new(included, GrantSource::Plan, key, now, row, words(&plan));
                self.book(grant);
            }
        }
    }

    fn book(&mut self, grant: Grant) {
        if grant.source == GrantSource::Plan {
            *self.given.entry(grant.meter).or_default() += grant.amount;
        }
        self.step.bookings.push(Booking::Grant(grant));
    }

    /// The id of the change; `None` when the plan is in force already.
    fn replace(&mut self, plan: Arc<Plan>, cause: Cause) -> Option<Uuid> {
        let before = std::mem::replace(&mut self.plan, plan);
        self.step.row.plan_id = self.plan.id;
        (before.id != self.plan.id).then(|| self.note(before.id, self.plan.id, cause))
    }

    fn note(&mut self, from_plan_id: Uuid, to_plan_id: Uuid, cause: Cause) -> Uuid {
        let id = (self.new_id)();
        self.step.changes.push(PlanChange { id, from_plan_id, to_plan_id, cause });
        id
    }

    fn known(&self, id: Uuid) -> Result<Arc<Plan>, UnknownPlan> {
        self.offer.plan(id).ok_or(UnknownPlan(id))
    }

    /// The version of a plan that a renewal takes; one that is not offered any more stays as it is.
    fn renewed(&self, id: Uuid) -> Result<Arc<Plan>, UnknownPlan> {
        let plan = self.known(id)?;
        Ok(self.offer.offered(&plan.key).unwrap_or(plan))
    }
}

impl Grant {
    /// Ends with the period of the row, unless the rest may stay for ever.
    fn new(
        included: Included,
        source: GrantSource,
        key: String,
        starts_at: DateTime<Utc>,
        row: &SubscriptionRow,
        description: String,
    ) -> Self {
        let expires_at = (included.rollover != Rollover::Unlimited).then_some(row.period_ends_at);
        let Included { meter, amount, .. } = included;
        Self { meter, source, key, amount, starts_at, expires_at, description }
    }
}

/// What a plan grants at the start of the period that the row is in.
pub fn begin(row: &SubscriptionRow, plan: &Plan) -> Vec<Grant> {
    let starts_at = row.period_started_at;
    let grant =
        |included| Grant::new(included, GrantSource::Plan, period_key(row), starts_at, row, words(plan));
    included(&plan.content).into_iter().map(grant).collect()
}

fn words(plan: &Plan) -> String {
    format!("Included in {}", plan.content.name)
}

fn period_key(row: &SubscriptionRow) -> String {
    format!("{}:{}", row.id, row.period_started_at.format("%Y-%m-%dT%H:%M:%S%.6fZ"))
}

#[cfg(test)]
mod tests;
