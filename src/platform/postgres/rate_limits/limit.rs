//! What a limit is, and what is answered to who asks under one.

use std::{fmt::Display, time::Duration};

/// What is counted together: a limit has one row and one memory for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub(super) limit: &'static str,
    pub(super) text: String,
}

impl Key {
    /// `limit` names the limit in metrics; `subject` is who is counted and must be short, at most 150 bytes.
    pub fn new(limit: &'static str, subject: impl Display) -> Self {
        Self { limit, text: format!("{limit}:{subject}") }
    }

    /// Name of the limit, for metrics.
    pub fn limit(&self) -> &'static str {
        self.limit
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sliding,
    Bucket,
}

/// So much within such a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub(super) kind: Kind,
    pub(super) amount: u32,
    pub(super) window: Duration,
    /// What a process takes at first, if less is wanted.
    pub(super) first: u32,
    /// Most permits that a process takes in advance.
    pub(super) block: u32,
}

/// A process may take an eighth of a limit in advance: eight processes can use all of it, and what one of them takes and
/// does not use is not missed.
const SHARE: u32 = 8;

/// Of a bucket a process may hold so little for longer: it is refilled within a second, and what was not used goes back.
const SMALL_SHARE: u32 = 64;

impl Limit {
    /// Never more than `amount`, which is one at least, within any `window`, whatever the number of processes.
    pub const fn sliding(amount: u32, window: Duration) -> Self {
        let amount = at_least_one(amount);
        Self { kind: Kind::Sliding, amount, window, first: 1, block: amount / SHARE }
    }

    /// A bucket of `amount` points that is refilled evenly within `window`, for what weighs differently or is given back.
    pub const fn bucket(amount: u32, window: Duration) -> Self {
        let amount = at_least_one(amount);
        Self { kind: Kind::Bucket, amount, window, first: amount / SMALL_SHARE, block: amount / SHARE }
    }

    /// The same with nothing taken in advance, for what is rare and strict.
    pub const fn one_by_one(self) -> Self {
        Self { first: 1, block: 1, ..self }
    }

    pub fn amount(&self) -> u32 {
        self.amount
    }

    pub fn window(&self) -> Duration {
        self.window
    }

    pub(super) fn is_bucket(&self) -> bool {
        self.kind == Kind::Bucket
    }

    /// How long it takes to refill so many points of a bucket.
    pub(super) fn refill_of(&self, points: u32) -> Duration {
        self.window.mul_f64(f64::from(points.min(self.amount)) / f64::from(self.amount))
    }

    /// How many points of a bucket are refilled in this time, all of them at most.
    pub(super) fn refilled_in(&self, time: Duration) -> u32 {
        let points = time.as_micros().saturating_mul(self.amount.into()) / self.window.as_micros().max(1);
        u32::try_from(points).unwrap_or(u32::MAX).min(self.amount)
    }

    /// Where one stands who has used nothing but `cost`.
    pub fn unused(&self, cost: u32) -> Standing {
        Standing { limit: *self, remaining: self.amount.saturating_sub(cost), reset: Duration::ZERO }
    }
}

/// A limit of nothing would say that something is over which may never begin.
const fn at_least_one(amount: u32) -> u32 {
    if amount == 0 { 1 } else { amount }
}

/// What is left of a limit, as far as this process knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub limit: Limit,
    pub remaining: u32,
    /// Until all of it is there again.
    pub reset: Duration,
}

impl Standing {
    /// The same after so many points of a bucket were given back. It is never more than full.
    pub fn with_back(self, points: u32) -> Self {
        Self {
            remaining: self.remaining.saturating_add(points).min(self.limit.amount),
            reset: self.reset.saturating_sub(self.limit.refill_of(points)),
            ..self
        }
    }
}

/// The answer to who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Admitted(Standing),
    /// Nothing was taken. The same request may be admitted after `retry_after`, and not before, unless points of its
    /// bucket are given back.
    Refused {
        retry_after: Duration,
        standing: Standing,
    },
}

impl Outcome {
    pub fn is_admitted(&self) -> bool {
        matches!(self, Self::Admitted(_))
    }

    pub fn standing(&self) -> Standing {
        match self {
            Self::Admitted(standing) | Self::Refused { standing, .. } => *standing,
        }
    }

    /// The same after so many points of what was admitted were given back.
    pub fn with_back(self, points: u32) -> Self {
        match self {
            Self::Admitted(standing) => Self::Admitted(standing.with_back(points)),
            Self::Refused { .. } => self,
        }
    }
}

/// Whole seconds to wait, rounded up so that who waits for so long is not too early; at least one.
pub fn whole_seconds(time: Duration) -> u64 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    seconds.max(1)
}
