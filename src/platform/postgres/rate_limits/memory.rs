//! What a process knows of one key without asking: the rest of its block, and a refusal that still holds.

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
    /// When the last block was asked for; its size, and until when it is good.
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
        Self { left: 0, asked_at: now, size: 0, good_until: now, refusal: None, free: 0, full_at: now }
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
        let back = if limit.kind == Kind::Bucket { std::mem::take(&mut self.left) } else { 0 };
        Wish { back, least: cost, most }
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
        self.left = grant.granted - wish.least;
        let is_small = limit.kind == Kind::Bucket && wish.most <= limit.first;
        self.asked_at = asked_at;
        self.good_until = asked_at + if is_small { SMALL_BLOCK_LIFE } else { BLOCK_LIFE };
        Outcome::Admitted(self.standing(limit, now))
    }

    /// Something was given back: who was refused may ask again.
    pub(super) fn forgive(&mut self) {
        self.refusal = None;
    }

    fn standing(&self, limit: &Limit, now: Instant) -> Standing {
        let remaining = self.free.saturating_add(self.left).min(limit.amount);
        Standing { limit: *limit, remaining, reset: self.full_at.saturating_duration_since(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit::sliding(80, Duration::from_secs(60));

    fn grant(granted: u32) -> Grant {
        Grant { granted, free: 50, retry: Duration::ZERO, reset: Duration::from_secs(60) }
    }

    /// Uses the block up, and returns what is asked for next.
    fn next_wish(memory: &mut Memory, now: Instant) -> Wish {
        while memory.answer(&LIMIT, 1, now).is_some() {}
        let wish = memory.wish(&LIMIT, 1, 1, now);
        memory.learn(&LIMIT, wish, grant(wish.most), now);
        wish
    }

    #[test]
    fn a_block_doubles_while_it_is_used_up_and_begins_anew_when_it_lapses() {
        let mut now = Instant::now();
        let mut memory = Memory::new(now);
        let sizes: Vec<u32> = (0..6).map(|_| next_wish(&mut memory, now).most).collect();
        assert_eq!(sizes, [1, 2, 4, 8, 10, 10]);
        now += BLOCK_LIFE;
        assert!(memory.answer(&LIMIT, 1, now).is_none(), "a block outlived its second");
        assert_eq!(next_wish(&mut memory, now).most, 1);
    }

    #[test]
    fn who_waits_is_asked_for_together() {
        let now = Instant::now();
        assert_eq!(Memory::new(now).wish(&LIMIT, 1, 30, now).most, 30);
        assert_eq!(Memory::new(now).wish(&LIMIT, 1, 300, now).most, 80);
        assert_eq!(Memory::new(now).wish(&LIMIT.one_by_one(), 1, 1, now).most, 1);
    }

    #[test]
    fn a_refusal_holds_until_its_time_and_only_for_as_much() {
        let now = Instant::now();
        let limit = Limit::bucket(100, Duration::from_secs(10));
        let mut memory = Memory::new(now);
        let wish = memory.wish(&limit, 40, 40, now);
        let refused =
            Grant { granted: 0, free: 30, retry: Duration::from_secs(1), reset: Duration::from_secs(7) };
        assert!(!memory.learn(&limit, wish, refused, now).is_admitted());
        assert!(memory.answer(&limit, 40, now).is_some_and(|outcome| !outcome.is_admitted()));
        assert!(memory.answer(&limit, 20, now).is_none(), "what is cheaper may be there");
        assert!(memory.answer(&limit, 40, now + Duration::from_secs(2)).is_none());
    }

    #[test]
    fn points_that_were_not_used_go_back_with_the_next_wish() {
        let now = Instant::now();
        let limit = Limit::bucket(800, Duration::from_secs(10));
        let mut memory = Memory::new(now);
        let mut asked = |cost, now| {
            if memory.answer(&limit, cost, now).is_some() {
                return None;
            }
            let wish = memory.wish(&limit, cost, cost, now);
            memory.learn(&limit, wish, grant(wish.most), now);
            Some((wish.back, wish.most))
        };
        assert_eq!(asked(10, now), Some((0, 12)));
        assert_eq!(asked(10, now), Some((2, 24)));
        assert_eq!([asked(4, now), asked(5, now)], [None, None]);
        let later = now + BLOCK_LIFE;
        assert_eq!(asked(5, later), Some((5, 12)));
        // The small block is good for longer.
        let late = later + SMALL_BLOCK_LIFE - Duration::from_millis(1);
        assert_eq!([asked(5, late), asked(5, late)], [None, Some((2, 12))]);
        assert_eq!(asked(5, late + SMALL_BLOCK_LIFE), Some((7, 12)));
    }
}
