//! What a process knows of one key without asking: the rest of its block, what is to go back to a bucket, and a refusal
//! that still holds.

use std::time::Duration;

use tokio::time::Instant;

use super::limit::{Kind, Limit, Outcome, Standing};

/// How long permits that were taken in advance may be used. Sliding windows are longer by [`MARGIN`], so that a permit
/// used at the end of its block is still within the window in which it was taken.
const BLOCK_LIFE: Duration = Duration::from_secs(1);

/// How long the first block of a bucket may be used: who asks every few seconds shall not cost a statement each time.
const SMALL_BLOCK_LIFE: Duration = Duration::from_secs(10);

/// The life of a block, and a quarter of a second for the way from the decision to whoever counts.
pub(super) const MARGIN: Duration = Duration::from_millis(1250);

/// What is asked of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    /// Points that were taken and not used.
    pub back: u32,
    pub least: u32,
    pub most: u32,
}

/// What the database answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grant {
    /// 0 when there is not even the least.
    pub granted: u32,
    pub free: u32,
    /// Until the least is there.
    pub retry: Duration,
    pub reset: Duration,
}

#[derive(Debug)]
pub(super) struct Memory {
    left: u32,
    /// Points that came back after their block had lapsed. They go back to the bucket with the next question, which knows
    /// how much of them was refilled meanwhile; spent from here they would be there twice.
    back: u32,
    /// Number of the last block, when it was asked for, its size, and until when it is good.
    block: u64,
    asked_at: Instant,
    size: u32,
    good_until: Instant,
    refusal: Option<Refusal>,
    free: u32,
    full_at: Instant,
}

/// Holds for who wants as much or more.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    until: Instant,
    cost: u32,
}

impl Memory {
    pub(super) fn new(now: Instant) -> Self {
        let (left, back, block, size, free) = (0, 0, 0, 0, 0);
        Self { left, back, block, asked_at: now, size, good_until: now, refusal: None, free, full_at: now }
    }

    /// Number of the block that permits are given out of now.
    pub(super) fn block(&self) -> u64 {
        self.block
    }

    /// The answer, if it is known.
    pub(super) fn answer(&mut self, limit: &Limit, cost: u32, now: Instant) -> Option<Outcome> {
        if let Some(refusal) = self.refusal
            && now < refusal.until
            && cost >= refusal.cost
        {
            let retry_after = refusal.until - now;
            return Some(Outcome::Refused { retry_after, standing: self.standing(limit, now) });
        }
        self.trim(limit, now);
        if now < self.good_until && self.left >= cost {
            self.left -= cost;
            return Some(Outcome::Admitted(self.standing(limit, now)));
        }
        None
    }

    /// What to ask for when `waiting` is wanted in all: what is wanted now, and a block in advance for who has used one
    /// up before its time.
    pub(super) fn wish(&mut self, limit: &Limit, cost: u32, waiting: u32, now: Instant) -> Wish {
        let is_used_up = self.size > 0 && now < self.asked_at + BLOCK_LIFE;
        let size = if is_used_up { self.size.saturating_mul(2).min(limit.block) } else { limit.first };
        self.size = size.max(cost);
        let most = self.size.max(waiting).min(limit.amount);
        // A log forgets nothing: what was taken in it counts, used or not.
        let back = if limit.is_bucket() {
            std::mem::take(&mut self.left).saturating_add(std::mem::take(&mut self.back))
        } else {
            0
        };
        Wish { back: back.min(limit.amount), least: cost, most }
    }

    /// Takes note of the answer to a wish that was sent at `asked_at`.
    pub(super) fn learn(&mut self, limit: &Limit, wish: Wish, grant: Grant, asked_at: Instant) -> Outcome {
        let now = Instant::now();
        (self.free, self.full_at) = (grant.free, now + grant.reset);
        if grant.granted < wish.least {
            (self.left, self.size) = (0, 0);
            self.refusal = Some(Refusal { until: now + grant.retry, cost: wish.least });
            return Outcome::Refused { retry_after: grant.retry, standing: self.standing(limit, now) };
        }
        self.refusal = None;
        self.block += 1;
        self.left = grant.granted - wish.least;
        let is_small = limit.is_bucket() && wish.most <= limit.first;
        self.asked_at = asked_at;
        self.good_until = asked_at + if is_small { SMALL_BLOCK_LIFE } else { BLOCK_LIFE };
        Outcome::Admitted(self.standing(limit, now))
    }

    /// Takes points of a bucket back that were taken out of this block and not used. Who was refused waits so much less.
    pub(super) fn put_back(&mut self, limit: &Limit, block: Option<u64>, points: u32, now: Instant) {
        if points == 0 || !limit.is_bucket() {
            return;
        }
        if let Some(refusal) = &mut self.refusal {
            refusal.until = refusal.until.checked_sub(limit.refill_of(points)).unwrap_or(now);
        }
        let is_good = block == Some(self.block) && now < self.good_until;
        let pile = if is_good { &mut self.left } else { &mut self.back };
        *pile = pile.saturating_add(points).min(limit.amount);
    }

    /// What a bucket has refilled since is there: a process holds no more than a small block beside a full one.
    fn trim(&mut self, limit: &Limit, now: Instant) {
        if !limit.is_bucket() {
            return;
        }
        let missing = limit.refilled_in(self.full_at.saturating_duration_since(now));
        let excess = self.left.saturating_sub(missing.max(limit.first));
        self.left -= excess;
        self.back = self.back.saturating_add(excess).min(limit.amount);
    }

    /// Something was given back: who was refused may ask again.
    pub(super) fn forgive(&mut self) {
        self.refusal = None;
    }

    fn standing(&self, limit: &Limit, now: Instant) -> Standing {
        let known = Standing {
            limit: *limit,
            remaining: self.free,
            reset: self.full_at.saturating_duration_since(now),
        };
        match limit.kind {
            // What was taken in advance lapses, but may be used until then.
            Kind::Sliding => {
                Standing { remaining: self.free.saturating_add(self.left).min(limit.amount), ..known }
            }
            Kind::Bucket => known.with_back(self.left.saturating_add(self.back)),
        }
    }
}

#[cfg(test)]
mod tests;
