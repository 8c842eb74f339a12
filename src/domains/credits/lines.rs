//! One line of a call: one meter, where it is counted, and what the call may cost there.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    quota::{Count, CountScope},
    usage::ceil_mega,
    windows::{self, Anchors, Bounds},
};
use crate::domains::catalog::{Limit, Meter, Scope, Window};

/// Costs `fixed`, and `rate` for a million tokens of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub meter: Meter,
    pub target: Target,
    pub fixed: i64,
    pub rate: i64,
}

/// What a line draws on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The balance of the meter.
    Wallet,
    Counter {
        window: Window,
        scope: Scope,
        /// Of a day, month or period.
        bounds: Option<Bounds>,
        /// `None` is unlimited, and still counted.
        limit: Option<i64>,
    },
    /// What all accounts together use in a day.
    Deployment { bounds: Bounds, limit: i64 },
}

impl Target {
    /// Where a limit of a plan is counted at the instant `now`.
    pub fn of_limit(limit: &Limit, anchors: &Anchors, now: DateTime<Utc>) -> Self {
        if limit.is_granted() {
            return Self::Wallet;
        }
        let bounds = windows::bounds(limit, anchors, now);
        Self::Counter { window: limit.window, scope: limit.scope, bounds, limit: limit.amount }
    }

    /// When the window ends in which it is counted; `None` of what has no bounds.
    pub fn ends(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Wallet => None,
            Self::Counter { bounds, .. } => bounds.map(|bounds| bounds.ends),
            Self::Deployment { bounds, .. } => Some(bounds.ends),
        }
    }

    /// True when both are counted in the same place.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Wallet, Self::Wallet) | (Self::Deployment { .. }, Self::Deployment { .. }) => true,
            (
                Self::Counter { window, scope, .. },
                Self::Counter { window: other_window, scope: other_scope, .. },
            ) => (window, scope) == (other_window, other_scope),
            _ => false,
        }
    }

    /// True when this is where the count was made.
    pub fn is_at(&self, count: &Count) -> bool {
        match self {
            Self::Wallet => (count.window, count.scope) == (Window::Period, CountScope::Account),
            Self::Counter { window, scope, .. } => count.window == *window && count.scope.is(*scope),
            Self::Deployment { .. } => count.scope == CountScope::Deployment,
        }
    }

    /// Lowers the limit of a counter to a ceiling.
    pub fn lower(&mut self, ceiling: i64) {
        if let Self::Counter { limit, .. } = self {
            *limit = Some(limit.map_or(ceiling, |limit| limit.min(ceiling)));
        }
    }
}

impl Line {
    /// What so many tokens of output cost here.
    pub fn cost(&self, units: u32) -> i128 {
        i128::from(self.fixed) + ceil_mega(i128::from(self.rate) * i128::from(units))
    }

    /// Until when lines that were made under a plan hold that is in force `until` then: the first end of all.
    pub fn until(lines: &[Self], until: DateTime<Utc>) -> DateTime<Utc> {
        lines.iter().filter_map(|line| line.target.ends()).fold(until, DateTime::min)
    }

    /// As `ledger_hold` reads it.
    pub fn to_json(&self, user_id: Uuid) -> Value {
        let (kind, window, scope, bounds, limit) = match &self.target {
            Target::Wallet => ("wallet", None, None, None, None),
            Target::Counter { window, scope, bounds, limit } => {
                ("counter", Some(*window), Some(*scope), *bounds, *limit)
            }
            Target::Deployment { bounds, limit } => {
                ("deployment", Some(Window::Day), None, Some(*bounds), Some(*limit))
            }
        };
        json!({
            "kind": kind, "meter": self.meter, "window": window,
            "user": (scope == Some(Scope::Member)).then_some(user_id),
            "starts": bounds.map(|bounds| bounds.starts), "ends": bounds.map(|bounds| bounds.ends),
            "limit": limit, "fixed": self.fixed, "rate": self.rate,
        })
    }
}
