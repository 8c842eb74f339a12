//! How many sockets are open, by address and by user. A place is given back when it is dropped.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use uuid::Uuid;

/// Open sockets of this process.
pub struct Sockets {
    pub(super) addresses: Arc<Places<IpAddr>>,
    pub(super) users: Arc<Places<Uuid>>,
}

impl Sockets {
    pub fn new(per_address: usize, per_user: usize) -> Self {
        Self { addresses: Places::new(per_address), users: Places::new(per_user) }
    }
}

/// Places a key: at most `limit` are taken at a time. Holds only keys that have one.
pub(super) struct Places<K> {
    limit: usize,
    taken: Mutex<HashMap<K, usize>>,
}

impl<K: Hash + Eq + Clone> Places<K> {
    fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, taken: Mutex::default() })
    }

    /// A place, unless all are taken.
    pub(super) fn take(self: &Arc<Self>, key: K) -> Option<Place<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.get(&key).copied().unwrap_or(0);
        if count >= self.limit {
            return None;
        }
        taken.insert(key.clone(), count + 1);
        Some(Place { places: Arc::clone(self), key })
    }
}

/// One place; free again when dropped.
pub(super) struct Place<K: Hash + Eq + Clone> {
    places: Arc<Places<K>>,
    key: K,
}

impl<K: Hash + Eq + Clone> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_by_key_and_leave_nothing_behind() {
        let places = Places::new(2);
        let first = places.take("a").unwrap();
        let second = places.take("a").unwrap();
        assert!(places.take("a").is_none());
        assert!(places.take("b").is_some());
        drop(first);
        let third = places.take("a").unwrap();
        assert!(places.take("a").is_none());
        drop((second, third));
        assert!(places.taken.lock().unwrap().is_empty());
    }
}
