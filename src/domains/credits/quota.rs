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
    domains::catalog::{Limit, Meter, Plan, Scope, Window},
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
    /// Grows with every change: of the count, by the hours until the window began, and by [`TERMS`] with other terms.
    pub revision: i64,
}

/// Added to revisions when the plan, the period or the catalogue changes: more than all the hours by which a window may
/// begin earlier after a change of its zone or its anchor, which are those of a month.
const TERMS: i64 = 1_000;

impl Quota {
    /// The limit once other terms have taken it away: nothing is limited any more.
    pub fn without_limit(self) -> Self {
        let revision = self.revision + TERMS;
        Self { limit: None, used: 0, held: 0, resets_at: None, revision, ..self }
    }

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
    /// Grows with everything that changes in the count, the end of its window included.
    pub revision: i64,
    /// When the database looked.
    pub at: DateTime<Utc>,
}

impl Count {
    /// What the limit has counted: of one meter and period, both what is granted and what is counted may be known.
    fn is_of(&self, limit: &Limit) -> bool {
        self.is_at(limit) && self.limit.is_some() == limit.is_granted()
    }

    fn is_at(&self, limit: &Limit) -> bool {
        (self.meter, self.window) == (limit.meter, limit.window) && self.scope.is(limit.scope)
    }
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
    pub(super) fn is(self, scope: Scope) -> bool {
        matches!((self, scope), (Self::Account, Scope::Account) | (Self::Member, Scope::Member))
    }
}

/// Reads the counts that `ledger_hold` and `ledger_settle` return.
pub fn read_counts(value: Value) -> Result<Vec<Count>> {
    serde_json::from_value(value).map_err(AppError::internal)
}

/// Limits that apply to an account, those of its plan and the ceilings of everybody; clones share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits(Arc<Applied>);

#[derive(Debug, PartialEq, Eq)]
struct Applied {
    limits: Vec<Limit>,
    anchors: Anchors,
}

impl Limits {
    /// Where the plan and the ceilings limit the same, the smaller amount applies.
    pub fn new(plan: &Plan, ceilings: impl Iterator<Item = Limit>, anchors: &Anchors) -> Self {
        let mut limits = plan.content.limits.clone();
        for ceiling in ceilings {
            let place = (ceiling.meter, ceiling.window, ceiling.scope);
            let own = limits.iter_mut().find(|own| (own.meter, own.window, own.scope) == place);
            match own {
                Some(own) => own.amount = own.amount.into_iter().chain(ceiling.amount).min(),
                None => limits.push(ceiling),
            }
        }
        Self(Arc::new(Applied { limits, anchors: *anchors }))
    }

    /// Those in which these lines count.
    pub(super) fn counted_by(&self, lines: &[Line]) -> Self {
        let Applied { limits, anchors } = &*self.0;
        let is_counted = |limit: &&Limit| {
            // Only the place matters here, and that is the same at every time.
            let target = Target::of_limit(limit, anchors, anchors.sign_up);
            lines.iter().any(|line| line.meter == limit.meter && line.target.is_same(&target))
        };
        let limits = limits.iter().filter(is_counted).cloned().collect();
        Self(Arc::new(Applied { limits, anchors: *anchors }))
    }

    /// The limits with what the database counted; those in which it counted nothing yet are left out.
    pub fn quotas(&self, counts: &[Count]) -> Vec<Quota> {
        let Applied { limits, anchors } = &*self.0;
        let counted = |limit| {
            let count = counts.iter().find(|count| count.is_of(limit))?;
            Some(quota(limit, anchors, Some(count), count.revision, count.at))
        };
        limits.iter().filter_map(counted).collect()
    }

    /// Every limit as it stands at `now`, with what the database counted until then.
    pub fn all_quotas(&self, counts: &[Count], now: DateTime<Utc>) -> Vec<Quota> {
        let Applied { limits, anchors } = &*self.0;
        let standing = |limit| {
            let count = counts.iter().find(|count| count.is_of(limit));
            // What was granted until now and is counted from now on goes on from the same number.
            let revision = counts.iter().find(|count| count.is_at(limit)).map_or(0, |count| count.revision);
            quota(limit, anchors, count, revision, now)
        };
        limits.iter().map(standing).collect()
    }
}

fn quota(
    limit: &Limit,
    anchors: &Anchors,
    count: Option<&Count>,
    revision: i64,
    now: DateTime<Utc>,
) -> Quota {
    let bounds = super::windows::bounds(limit, anchors, now);
    let begun = bounds.map_or(0, |bounds| bounds.starts.timestamp() / 3_600);
    Quota {
        meter: limit.meter,
        window: limit.window,
        scope: limit.scope,
        limit: count.and_then(|count| count.limit).or(limit.amount),
        used: count.map_or(0, |count| count.used),
        held: count.map_or(0, |count| count.held),
        resets_at: count.and_then(|count| count.resets_at).or(bounds.map(|bounds| bounds.ends)),
        revision: revision + begun + anchors.terms * TERMS,
    }
}
