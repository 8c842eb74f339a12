//! The ledger once more, in plain Rust: what the functions of the database must agree with. It reaches its numbers another
//! way, so that both are not wrong together: it tries caps instead of dividing, and counts limits from the draws each time
//! instead of keeping totals.

mod counts;
mod ledger;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

const MEGA: i128 = 1_000_000;
/// No end.
pub const NEVER: i64 = i64::MAX;

pub type Meter = &'static str;

#[derive(Debug, Clone, Default)]
pub struct Wallet {
    pub grants: Vec<Grant>,
    /// Movements so far.
    pub revision: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub id: Uuid,
    pub source_key: String,
    pub priority: i16,
    pub amount: i64,
    pub expires: i64,
    pub available: i64,
    pub held: i64,
    pub spent: i64,
    pub expired: i64,
    pub revoked: i64,
}

impl Grant {
    pub fn new(id: Uuid, source_key: &str, priority: i16, amount: i64, expires: i64) -> Self {
        let source_key = source_key.to_owned();
        Self {
            id,
            source_key,
            priority,
            amount,
            expires,
            available: amount,
            held: 0,
            spent: 0,
            expired: 0,
            revoked: 0,
        }
    }
}

/// What is to be paid for: `fixed`, and `rate` for a million units.
#[derive(Debug, Clone)]
pub struct Line {
    pub meter: Meter,
    pub target: Target,
    pub fixed: i64,
    pub rate: i64,
}

/// In the order of the locks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Wallet,
    /// The nil user is the account. Bounds of calendar windows, in seconds.
    Counter {
        user: Uuid,
        meter: Meter,
        window: Meter,
        bounds: Option<(i64, i64)>,
        limit: Option<i64>,
    },
    Deployment {
        day: i64,
        limit: i64,
    },
}

impl Line {
    pub fn cost(&self, units: i64) -> i128 {
        i128::from(self.fixed) + (i128::from(self.rate) * i128::from(units) + MEGA - 1) / MEGA
    }

    /// The most of `min..=want` units that `room` pays for; `None` is endless.
    fn payable(&self, room: Option<i128>, min: i64, want: i64) -> Option<i64> {
        let Some(room) = room else { return Some(want).filter(|_| want >= min) };
        let is_payable = |units| self.cost(units) <= room;
        if want < min || !is_payable(min) {
            return None;
        }
        let (mut yes, mut no) = (min, want + 1);
        while no - yes > 1 {
            let middle = yes + (no - yes) / 2;
            if is_payable(middle) { yes = middle } else { no = middle }
        }
        Some(yes)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Open,
    Settled,
    Released,
    Refunded,
}

#[derive(Debug, Clone)]
pub struct Hold {
    pub account: usize,
    pub state: State,
    pub units: i64,
    pub overrun: i64,
    /// In the order in which they were taken.
    pub draws: Vec<Draw>,
}

#[derive(Debug, Clone)]
pub struct Draw {
    pub line: usize,
    pub meter: Meter,
    pub of: Of,
    pub held: i64,
    pub spent: Option<i64>,
    at: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    Grant(Uuid),
    /// A counter, and the start of its window.
    Counter(CounterKey, Option<i64>),
    Day(i64),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CounterKey {
    pub account: usize,
    pub user: Uuid,
    pub meter: Meter,
    pub window: Meter,
}

impl CounterKey {
    fn sliding(&self) -> Option<i64> {
        match self.window {
            "minute" => Some(60),
            "hour" => Some(3_600),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Counter {
    /// Of a calendar window.
    pub bounds: Option<(i64, i64)>,
    pub revision: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    pub available: i64,
    pub held: i64,
    pub revision: i64,
}

/// Answer to a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    Admitted {
        units: i64,
        held: i64,
        balance: Balance,
    },
    Refused {
        meter: String,
        window: Option<String>,
        required: i128,
        available: i128,
        held: i64,
        is_held: bool,
        resets: Option<i64>,
    },
    /// The lines were made for a time that is over.
    MovedOn,
}

/// Answer to a resolution that was the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    pub charged: i64,
    pub balance: Balance,
}

/// What was used of the meters that are not counted in calls.
#[derive(Debug, Clone, Copy)]
pub struct Actual {
    pub credits: i64,
    pub tokens: i64,
}

/// Everything, at one instant.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub now: i64,
    pub wallets: BTreeMap<(usize, Meter), Wallet>,
    pub counters: BTreeMap<CounterKey, Counter>,
    pub holds: BTreeMap<Uuid, Hold>,
    takings: BTreeSet<String>,
}

fn is_count(meter: Meter) -> bool {
    !["credits", "tokens", "cost"].contains(&meter)
}

impl Wallet {
    pub fn balance(&self) -> Balance {
        Balance {
            available: self.grants.iter().map(|grant| grant.available).sum(),
            held: self.grants.iter().map(|grant| grant.held).sum(),
            revision: self.revision,
        }
    }

    fn expire(&mut self, now: i64) {
        for grant in self.grants.iter_mut().filter(|grant| grant.expires <= now && grant.available > 0) {
            grant.expired += std::mem::take(&mut grant.available);
            self.revision += 1;
        }
    }

    /// Takes up to `most` in the order of spending; what was taken of which grant.
    fn take(&mut self, mut most: i64, mut put: impl FnMut(&mut Grant, i64)) -> Vec<(Uuid, i64)> {
        let mut taken = Vec::new();
        for grant in &mut self.grants {
            let take = grant.available.min(most);
            if take > 0 {
                grant.available -= take;
                put(grant, take);
                most -= take;
                self.revision += 1;
                taken.push((grant.id, take));
            }
        }
        taken
    }
}
