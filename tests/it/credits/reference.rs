//! The ledger once more, in plain Rust: what the functions of the database must agree with. It reaches its numbers another
//! way (it tries caps instead of dividing), so that both are not wrong together.

use std::collections::BTreeMap;

use uuid::Uuid;

const MEGA: i128 = 1_000_000;

/// One wallet with everything in it; amounts are micro-credits.
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
    pub available: i64,
    pub held: i64,
    pub spent: i64,
}

/// What is to be paid for: `fixed`, and `rate` for a million units.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    pub fixed: i64,
    pub rate: i64,
}

impl Line {
    pub fn cost(self, units: i64) -> i128 {
        i128::from(self.fixed) + (i128::from(self.rate) * i128::from(units) + MEGA - 1) / MEGA
    }

    /// The most of `min..=want` units that `budget` pays for.
    fn payable(self, budget: i64, min: i64, want: i64) -> Option<i64> {
        let is_payable = |units| self.cost(units) <= i128::from(budget);
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
}

#[derive(Debug, Clone)]
pub struct Hold {
    pub account: usize,
    pub state: State,
    pub units: i64,
    pub overrun: i64,
    /// Grant and amount, in the order in which they were taken.
    pub draws: Vec<(Uuid, i64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    pub available: i64,
    pub held: i64,
    pub revision: i64,
}

/// Answer to a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Admitted { units: i64, held: i64, balance: Balance },
    Insufficient { required: i64, available: i64, held: i64 },
}

/// Answer to a resolution that was the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    pub charged: i64,
    pub balance: Balance,
}

/// Wallets by the number of their account, and all holds.
#[derive(Debug, Default)]
pub struct Ledger {
    pub wallets: Vec<Wallet>,
    pub holds: BTreeMap<Uuid, Hold>,
}

impl Wallet {
    pub fn balance(&self) -> Balance {
        Balance {
            available: self.grants.iter().map(|grant| grant.available).sum(),
            held: self.grants.iter().map(|grant| grant.held).sum(),
            revision: self.revision,
        }
    }

    fn grant(&mut self, id: Uuid) -> &mut Grant {
        self.grants.iter_mut().find(|grant| grant.id == id).unwrap()
    }
}

impl Ledger {
    /// False when the source was granted before.
    pub fn grant(&mut self, account: usize, grant: Grant) -> bool {
        let wallet = &mut self.wallets[account];
        if wallet.grants.iter().any(|old| old.source_key == grant.source_key) {
            return false;
        }
        wallet.grants.push(grant);
        wallet.grants.sort_by_key(|grant| (grant.priority, grant.id));
        wallet.revision += 1;
        true
    }

    pub fn hold(&mut self, id: Uuid, account: usize, line: Line, min: i64, want: i64) -> Admission {
        let wallet = &mut self.wallets[account];
        let before = wallet.balance();
        let Some(units) = line.payable(before.available, min, want) else {
            let required = i64::try_from(line.cost(min)).unwrap();
            return Admission::Insufficient { required, available: before.available, held: before.held };
        };
        let held = i64::try_from(line.cost(units)).unwrap();
        let (mut need, mut draws) = (held, Vec::new());
        for grant in &mut wallet.grants {
            let take = grant.available.min(need);
            if take > 0 {
                grant.available -= take;
                grant.held += take;
                need -= take;
                wallet.revision += 1;
                draws.push((grant.id, take));
            }
        }
        assert_eq!(need, 0);
        let balance = wallet.balance();
        self.holds.insert(id, Hold { account, state: State::Open, units, overrun: 0, draws });
        Admission::Admitted { units, held, balance }
    }

    /// Spends `actual`, `None` for nothing at all; `None` when there is no such open hold.
    pub fn resolve(&mut self, id: Uuid, actual: Option<i64>) -> Option<Resolved> {
        let hold = self.holds.get_mut(&id).filter(|hold| hold.state == State::Open)?;
        hold.state = if actual.is_some() { State::Settled } else { State::Released };
        let wallet = &mut self.wallets[hold.account];
        let mut rest = actual.unwrap_or(0);
        let mut charged = 0;
        for &(grant, held) in &hold.draws {
            let pay = rest.min(held);
            let grant = wallet.grant(grant);
            grant.held -= held;
            grant.spent += pay;
            grant.available += held - pay;
            rest -= pay;
            charged += pay;
            wallet.revision += 1;
        }
        // A hold of nothing has no line to overrun.
        hold.overrun = rest;
        Some(Resolved { charged, balance: wallet.balance() })
    }
}
