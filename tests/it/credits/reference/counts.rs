//! What the ledger counts, from the draws each time.

use super::{CounterKey, Draw, Hold, Ledger, Of, State, is_count};

impl Ledger {
    /// Used and held of a counter in its window, from the draws.
    pub fn count(&self, key: &CounterKey) -> (i64, i64) {
        let start = self.counters[key].bounds.map(|bounds| bounds.0);
        let (mut used, mut held) = (0, 0);
        for (hold, draw) in self.draws(&Of::Counter(key.clone(), start)) {
            match key.sliding() {
                Some(length) if draw.at <= self.now - length => {}
                Some(_) if draw.spent.is_some() && is_count(key.meter) => used += draw.held,
                Some(_) => match draw.spent {
                    Some(spent) => used += spent,
                    None => held += draw.held,
                },
                None if hold.state == State::Open => held += draw.held,
                None if hold.state == State::Settled => used += draw.spent.unwrap(),
                None => {}
            }
        }
        (used, held)
    }

    /// As people read it: the end of a window counts, and so does a draw that leaves a sliding one.
    pub fn shown_revision(&self, key: &CounterKey) -> i64 {
        let counter = &self.counters[key];
        let over = counter.bounds.is_some_and(|bounds| bounds.1 <= self.now);
        let in_window = key.sliding().map_or(0, |length| {
            let of = Of::Counter(key.clone(), None);
            self.draws(&of).filter(|(_, draw)| draw.at > self.now - length).count()
        });
        let is_of_wallet = key.window == "period" && key.user.is_nil() && !is_count(key.meter);
        let wallet =
            self.wallets.get(&(key.account, key.meter)).filter(|_| is_of_wallet && key.meter != "credits");
        counter.revision + i64::from(over) - i64::try_from(in_window).unwrap()
            + wallet.map_or(0, |wallet| wallet.balance().revision)
    }

    /// What all accounts used and hold of a day.
    pub fn day(&self, day: i64) -> (i64, i64) {
        let (mut used, mut held) = (0, 0);
        for (hold, draw) in self.draws(&Of::Day(day)) {
            match hold.state {
                State::Open => held += draw.held,
                State::Settled => used += draw.spent.unwrap(),
                State::Released | State::Refunded => {}
            }
        }
        (used, held)
    }

    pub fn draws<'a>(&'a self, of: &'a Of) -> impl Iterator<Item = (&'a Hold, &'a Draw)> {
        let all = self.holds.values().flat_map(|hold| hold.draws.iter().map(move |draw| (hold, draw)));
        all.filter(move |(_, draw)| draw.of == *of)
    }

    /// The first instant at which a sliding window has room, found by trying all at which a draw leaves it.
    pub fn first_passing(&self, key: &CounterKey, length: i64, limit: i64, required: i128) -> Option<i64> {
        let of = Of::Counter(key.clone(), None);
        let mut instants: Vec<i64> =
            self.draws(&of).map(|(_, draw)| draw.at + length).filter(|at| *at > self.now).collect();
        instants.sort_unstable();
        instants.into_iter().find(|&at| {
            let later = Self { now: at, ..self.clone() };
            let (used, held) = later.count(key);
            i128::from(used) + i128::from(held) + required <= i128::from(limit)
        })
    }
}
