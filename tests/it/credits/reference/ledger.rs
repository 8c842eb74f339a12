//! What the ledger does.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{
    Actual, Admission, Balance, Counter, CounterKey, Draw, Grant, Hold, Ledger, Line, Meter, NEVER, Of,
    Resolved, State, Target, Wallet, is_count,
};

impl Ledger {
    pub fn wallet(&mut self, account: usize, meter: Meter) -> &mut Wallet {
        self.wallets.entry((account, meter)).or_default()
    }

    pub fn balance(&self, account: usize) -> Balance {
        let none = Balance { available: 0, held: 0, revision: 0 };
        self.wallets.get(&(account, "credits")).map_or(none, Wallet::balance)
    }

    /// False when the source was granted before.
    pub fn grant(&mut self, account: usize, meter: Meter, grant: Grant) -> bool {
        let now = self.now;
        let wallet = self.wallet(account, meter);
        wallet.expire(now);
        if wallet.grants.iter().any(|old| old.source_key == grant.source_key) {
            return false;
        }
        wallet.grants.push(grant);
        wallet.grants.sort_by_key(|grant| (grant.priority, grant.expires, grant.id));
        wallet.revision += 1;
        wallet.expire(now);
        true
    }

    /// `None` when it was done before.
    pub fn adjust(&mut self, id: Uuid, account: usize, amount: i64, expires: i64) -> Option<i64> {
        if amount > 0 {
            let grant = Grant::new(id, &id.to_string(), 40, amount, expires);
            return self.grant(account, "credits", grant).then_some(amount);
        }
        let now = self.now;
        let wallet = self.wallet(account, "credits");
        wallet.expire(now);
        let mut taken = 0;
        if self.takings.insert(id.to_string()) {
            self.wallet(account, "credits").take(-amount, |grant, take| {
                grant.revoked += take;
                taken += take;
            });
            return Some(-taken);
        }
        None
    }

    /// `None` when it was done before.
    pub fn revoke(&mut self, account: usize, grant: Uuid, amount: i64, reference: &str) -> Option<i64> {
        let now = self.now;
        self.wallet(account, "credits").expire(now);
        if !self.takings.insert(format!("{grant}:{reference}")) {
            return None;
        }
        let wallet = self.wallet(account, "credits");
        let grant = wallet.grants.iter_mut().find(|old| old.id == grant).unwrap();
        let take = grant.available.min(amount);
        grant.available -= take;
        grant.revoked += take;
        wallet.revision += i64::from(take > 0);
        Some(take)
    }

    fn key_of(account: usize, line: &Line) -> Option<CounterKey> {
        match &line.target {
            Target::Counter { user, meter, window, .. } => {
                Some(CounterKey { account, user: *user, meter, window })
            }
            _ => None,
        }
    }

    /// `lines` in the order of the locks, which hold until `until`. A refusal leaves everything as it was.
    pub fn hold(
        &mut self,
        id: Uuid,
        account: usize,
        lines: &[Line],
        (min, want): (i64, i64),
        until: i64,
    ) -> Admission {
        if until <= self.now {
            return Admission::MovedOn;
        }
        let before = self.clone();
        for line in lines {
            self.prepare(account, line);
        }
        let mut units = want;
        for line in lines {
            let (used, held, limit) = self.state(account, line);
            let room = limit.map(|limit| i128::from(limit) - i128::from(used) - i128::from(held));
            match line.payable(room, min, units) {
                Some(payable) => units = payable,
                None => {
                    let refusal = self.refusal(account, line, min, (room.unwrap(), held));
                    *self = before;
                    return refusal;
                }
            }
        }
        let held = self.draw(id, account, lines, units);
        Admission::Admitted { units, held, balance: self.balance(account) }
    }

    fn prepare(&mut self, account: usize, line: &Line) {
        let now = self.now;
        match &line.target {
            Target::Wallet => self.wallet(account, line.meter).expire(now),
            Target::Counter { bounds, .. } => {
                let key = Self::key_of(account, line).unwrap();
                let fresh = Counter { bounds: *bounds, revision: 0 };
                let counter = self.counters.entry(key).or_insert(fresh);
                if let (Some(old), Some(new)) = (counter.bounds, *bounds)
                    && old.1 < new.1
                {
                    let is_next = new.0 >= old.1;
                    counter.bounds = Some(if is_next { new } else { (old.0, new.1) });
                    counter.revision += i64::from(is_next);
                }
            }
            Target::Deployment { .. } => {}
        }
    }

    /// Used, held, and the most that may be.
    fn state(&self, account: usize, line: &Line) -> (i64, i64, Option<i64>) {
        match &line.target {
            Target::Wallet => {
                let balance = self.wallets[&(account, line.meter)].balance();
                // What is held is not available; both together are the most there may be.
                (0, balance.held, Some(balance.available + balance.held))
            }
            Target::Counter { limit, .. } => {
                let (used, held) = self.count(&Self::key_of(account, line).unwrap());
                (used, held, *limit)
            }
            Target::Deployment { day, limit } => {
                let (used, held) = self.day(*day);
                (used, held, Some(*limit))
            }
        }
    }

    fn refusal(&self, account: usize, line: &Line, min: i64, (room, held): (i128, i64)) -> Admission {
        let required = line.cost(min);
        let key = Self::key_of(account, line);
        let sliding = key.as_ref().and_then(CounterKey::sliding);
        let is_attempt = sliding.is_some() && is_count(line.meter);
        let window = match &line.target {
            Target::Wallet => None,
            Target::Counter { window, .. } => Some((*window).to_owned()),
            Target::Deployment { .. } => Some("day".to_owned()),
        };
        let resets = match (&line.target, &key) {
            (Target::Counter { limit, .. }, Some(key)) if sliding.is_some() => {
                self.first_passing(key, sliding.unwrap(), limit.unwrap(), required)
            }
            (Target::Counter { .. }, Some(key)) => {
                self.counters[key].bounds.map(|bounds| bounds.1).filter(|end| *end != NEVER)
            }
            (Target::Deployment { day, .. }, _) => Some(day + 86_400),
            _ => None,
        };
        Admission::Refused {
            meter: line.meter.to_owned(),
            window: window.clone(),
            required,
            available: room.max(0),
            held,
            is_held: held > 0 && room + i128::from(held) >= required && !is_attempt,
            resets: resets.filter(|_| line.target != Target::Wallet),
        }
    }

    fn draw(&mut self, id: Uuid, account: usize, lines: &[Line], units: i64) -> i64 {
        let (mut draws, mut credits, at) = (Vec::new(), 0, self.now);
        for (index, line) in lines.iter().enumerate() {
            let need = i64::try_from(line.cost(units)).unwrap();
            let draw = |of, held| Draw { line: index + 1, meter: line.meter, of, held, spent: None, at };
            match &line.target {
                Target::Wallet => {
                    let taken = self.wallet(account, line.meter).take(need, |grant, take| grant.held += take);
                    assert_eq!(taken.iter().map(|(_, take)| take).sum::<i64>(), need);
                    draws.extend(taken.into_iter().map(|(grant, take)| draw(Of::Grant(grant), take)));
                    credits += if line.meter == "credits" { need } else { 0 };
                }
                Target::Counter { .. } => {
                    let key = Self::key_of(account, line).unwrap();
                    let counter = self.counters.get_mut(&key).unwrap();
                    // In a sliding window it counts again when it leaves.
                    counter.revision += if counter.bounds.is_none() { 2 } else { 1 };
                    let start = counter.bounds.map(|bounds| bounds.0);
                    draws.push(draw(Of::Counter(key, start), need));
                }
                Target::Deployment { day, .. } => draws.push(draw(Of::Day(*day), need)),
            }
        }
        self.holds.insert(id, Hold { account, state: State::Open, units, overrun: 0, draws });
        credits
    }

    /// Spends `actual`, `None` for nothing at all; `None` when there is no such open hold.
    pub fn resolve(&mut self, id: Uuid, actual: Option<Actual>) -> Option<Resolved> {
        let mut hold = self.holds.get(&id).filter(|hold| hold.state == State::Open)?.clone();
        hold.state = if actual.is_some() { State::Settled } else { State::Released };
        let (mut charged, mut rest, mut line) = (0, 0, 0);
        for draw in &mut hold.draws {
            let is_at_once = matches!(&draw.of, Of::Counter(key, _) if key.window == "none");
            if draw.line != line {
                line = draw.line;
                rest = match (actual, draw.meter) {
                    (None, _) => 0,
                    _ if is_at_once => 0,
                    (Some(actual), "credits") => actual.credits,
                    (Some(actual), "tokens") => actual.tokens,
                    _ => draw.held,
                };
            }
            let pay = rest.min(draw.held);
            rest -= pay;
            draw.spent = Some(pay);
            match &draw.of {
                Of::Grant(id) => {
                    let wallet = self.wallet(hold.account, draw.meter);
                    let grant = wallet.grants.iter_mut().find(|grant| grant.id == *id).unwrap();
                    grant.held -= draw.held;
                    grant.spent += pay;
                    grant.available += draw.held - pay;
                    wallet.revision += 1;
                    charged += if draw.meter == "credits" { pay } else { 0 };
                }
                Of::Counter(key, start) => self.touch(key, *start),
                Of::Day(_) => {}
            }
        }
        let most = self.most_held(&hold, "credits");
        hold.overrun = actual.map_or(0, |actual| (actual.credits - most).max(0));
        let account = hold.account;
        self.expire_drawn(&hold);
        self.holds.insert(id, hold);
        Some(Resolved { charged, balance: self.balance(account) })
    }

    /// What the line of a meter holds; every line of it holds the same.
    fn most_held(&self, hold: &Hold, meter: Meter) -> i64 {
        let mut lines: BTreeMap<usize, i64> = BTreeMap::new();
        for draw in hold.draws.iter().filter(|draw| draw.meter == meter) {
            *lines.entry(draw.line).or_default() += draw.held;
        }
        lines.into_values().max().unwrap_or(0)
    }

    fn touch(&mut self, key: &CounterKey, start: Option<i64>) {
        let counter = self.counters.get_mut(key).unwrap();
        if counter.bounds.map(|bounds| bounds.0) == start {
            counter.revision += 1;
        }
    }

    fn expire_drawn(&mut self, hold: &Hold) {
        let meters: BTreeSet<Meter> =
            hold.draws.iter().filter(|draw| matches!(draw.of, Of::Grant(_))).map(|draw| draw.meter).collect();
        for meter in meters {
            let now = self.now;
            self.wallet(hold.account, meter).expire(now);
        }
    }

    /// Gives a settled hold back; false when there is none.
    pub fn refund(&mut self, id: Uuid) -> bool {
        let Some(mut hold) = self.holds.get(&id).filter(|hold| hold.state == State::Settled).cloned() else {
            return false;
        };
        hold.state = State::Refunded;
        for draw in hold.draws.iter().filter(|draw| draw.spent > Some(0)) {
            let spent = draw.spent.unwrap();
            match &draw.of {
                Of::Grant(id) => {
                    let wallet = self.wallet(hold.account, draw.meter);
                    let grant = wallet.grants.iter_mut().find(|grant| grant.id == *id).unwrap();
                    grant.spent -= spent;
                    grant.available += spent;
                    wallet.revision += 1;
                }
                Of::Counter(key, Some(start)) => self.touch(key, Some(*start)),
                Of::Counter(_, None) | Of::Day(_) => {}
            }
        }
        self.expire_drawn(&hold);
        self.holds.insert(id, hold);
        true
    }
}
