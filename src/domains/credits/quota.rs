//! The state of limits, as plans have them and people see them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::{
    lines::{Line, Target},
    windows::Anchors,
};
use crate::{
    domains::catalog::{Meter, Plan, Scope, Window},
    error::{AppError, Result},
};

/// One limit of the plan as it stands. Credits and cost are in millionths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    pub meter: Meter,
    pub window: Window,
    pub scope: Scope,
    /// `None` is unlimited.
    pub limit: Option<i64>,
    pub used: i64,
    pub held: i64,
    /// When the count next falls.
    pub resets_at: Option<DateTime<Utc>>,
    /// Grows with every change.
    pub revision: i64,
}

impl Quota {
    /// What is left, never below 0; `None` is unlimited.
    pub fn remaining(&self) -> Option<i64> {
        self.limit.map(|limit| limit.saturating_sub(self.used).saturating_sub(self.held).max(0))
    }
}

/// A count as the database says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Count {
    pub meter: Meter,
    pub window: Window,
    pub scope: CountScope,
    /// Only of granted limits, whose amount is in the wallet; that of the others is in the plan.
    pub limit: Option<i64>,
    pub used: i64,
    pub held: i64,
    pub resets_at: Option<DateTime<Utc>>,
    pub revision: i64,
}

/// Whose use was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountScope {
    Account,
    Member,
    Deployment,
}

impl CountScope {
    fn is(self, scope: Scope) -> bool {
        matches!((self, scope), (Self::Account, Scope::Account) | (Self::Member, Scope::Member))
    }
}

/// Reads the counts that `ledger_hold` and `ledger_settle` return.
pub fn read_counts(value: Value) -> Result<Vec<Count>> {
    serde_json::from_value(value).map_err(AppError::internal)
}

/// Limits of a plan that a call counts in; clones share them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits(Arc<[Known]>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    meter: Meter,
    window: Window,
    scope: Scope,
    limit: Option<i64>,
    /// The amount is in a wallet.
    is_granted: bool,
}

impl Limits {
    /// Those of the lines that are limits of the plan.
    pub(super) fn of(lines: &[Line]) -> Self {
        let known = |line: &Line| {
            let (window, scope, limit, is_granted) = match line.target {
                Target::Counter { window, scope, limit, .. } => (window, scope, limit, false),
                Target::Wallet => (Window::Period, Scope::Account, None, true),
                Target::Deployment { .. } => return None,
            };
            Some(Known { meter: line.meter, window, scope, limit, is_granted })
        };
        Self(lines.iter().filter(|line| line.is_shown).filter_map(known).collect())
    }

    /// The limits with what the database counted. Ceilings, which are no limits of the plan, are left out.
    pub fn quotas(&self, counts: &[Count]) -> Vec<Quota> {
        self.0.iter().filter_map(|known| Some(known.quota(known.find(counts)?))).collect()
    }
}

impl Known {
    fn find<'a>(&self, counts: &'a [Count]) -> Option<&'a Count> {
        counts.iter().find(|count| {
            (count.meter, count.window) == (self.meter, self.window)
                && count.scope.is(self.scope)
                && count.limit.is_some() == self.is_granted
        })
    }

    fn quota(&self, count: &Count) -> Quota {
        Quota {
            meter: self.meter,
            window: self.window,
            scope: self.scope,
            limit: count.limit.or(self.limit),
            used: count.used,
            held: count.held,
            resets_at: count.resets_at,
            revision: count.revision,
        }
    }
}

/// Every limit of a plan with what was counted; those in which nothing was counted yet are unused.
pub fn quotas_of_plan(plan: &Plan, counts: &[Count], anchors: &Anchors, now: DateTime<Utc>) -> Vec<Quota> {
    let quota = |limit: &crate::domains::catalog::Limit| {
        let crate::domains::catalog::Limit { meter, window, scope, amount, .. } = *limit;
        let known = Known { meter, window, scope, limit: amount, is_granted: limit.is_granted() };
        let bounds = super::windows::bounds(limit, anchors, now);
        match known.find(counts) {
            Some(count) => Quota {
                resets_at: count.resets_at.or(bounds.map(|bounds| bounds.ends)),
                ..known.quota(count)
            },
            None => Quota {
                meter: limit.meter,
                window: limit.window,
                scope: limit.scope,
                limit: limit.amount,
                used: 0,
                held: 0,
                resets_at: bounds.map(|bounds| bounds.ends),
                revision: 0,
            },
        }
    };
    plan.content.limits.iter().map(quota).collect()
}
