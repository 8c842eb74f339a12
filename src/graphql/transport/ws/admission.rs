//! How many sockets are open, by address and by user.
//!
//! A client that changes its network leaves sockets that are dead, though nobody can know it yet. They must not lock
//! their user out: when all seats of a user are taken, the socket that has been silent for longest gives its seat to
//! the new one, if it has missed a ping.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::platform::places::{Place, Places, network_of};

/// Open sockets of this process.
pub struct Sockets {
    addresses: Arc<Places<IpAddr>>,
    users: Arc<Users>,
}

impl Sockets {
    /// A socket silent for `missed` has not answered a ping.
    pub fn new(per_address: usize, per_user: usize, missed: Duration) -> Self {
        let users = Users { limit: per_user, missed, seats: Mutex::default() };
        Self { addresses: Places::new(per_address), users: Arc::new(users) }
    }

    /// A place for a socket from this address, unless it has as many as allowed.
    pub fn of_address(&self, address: IpAddr) -> Option<Place<IpAddr>> {
        self.addresses.take(network_of(address))
    }

    /// A seat for a socket of this user, unless the user has as many as allowed and all of them are alive.
    pub(super) fn of_user(&self, user: Uuid) -> Option<Seat> {
        self.users.seat(user)
    }
}

/// Seats by user. Holds only users that have one, so it is bounded by what is open.
struct Users {
    limit: usize,
    missed: Duration,
    seats: Mutex<HashMap<Uuid, Vec<Arc<Sign>>>>,
}

/// What is known of a socket without asking it.
struct Sign {
    heard: Mutex<Instant>,
    displaced: CancellationToken,
}

impl Sign {
    fn heard(&self) -> MutexGuard<'_, Instant> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Users {
    fn seats(&self) -> MutexGuard<'_, HashMap<Uuid, Vec<Arc<Sign>>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seat(self: &Arc<Self>, user: Uuid) -> Option<Seat> {
        let mut seats = self.seats();
        let taken = seats.entry(user).or_default();
        if taken.len() >= self.limit {
            let (at, silent) = taken.iter().enumerate().min_by_key(|(_, sign)| *sign.heard())?;
            if silent.heard().elapsed() < self.missed {
                return None;
            }
            silent.displaced.cancel();
            taken.swap_remove(at);
        }
        let sign = Arc::new(Sign { heard: Mutex::new(Instant::now()), displaced: CancellationToken::new() });
        taken.push(Arc::clone(&sign));
        Some(Seat { user, sign, users: Arc::clone(self) })
    }
}

/// The right of one socket to be there; free again when dropped.
pub(super) struct Seat {
    user: Uuid,
    sign: Arc<Sign>,
    users: Arc<Users>,
}

impl Seat {
    /// Notes a sign of life.
    pub(super) fn note(&self, now: Instant) {
        *self.sign.heard() = now;
    }

    /// Completes when another socket has the seat.
    pub(super) async fn lost(&self) {
        self.sign.displaced.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.users.seats();
        let Some(taken) = seats.get_mut(&self.user) else { return };
        taken.retain(|sign| !Arc::ptr_eq(sign, &self.sign));
        if taken.is_empty() {
            seats.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MISSED: Duration = Duration::from_secs(25);

    #[test]
    fn only_a_silent_socket_gives_its_seat_away_and_nothing_is_left_behind() {
        let sockets = Sockets::new(1, 2, MISSED);
        let (user, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (first, second) = (sockets.of_user(user).unwrap(), sockets.of_user(user).unwrap());
        assert!(sockets.of_user(user).is_none());
        assert!(sockets.of_user(other).is_some());
        second.note(Instant::now().checked_sub(MISSED).unwrap());
        let third = sockets.of_user(user).unwrap();
        assert!(second.sign.displaced.is_cancelled() && !first.sign.displaced.is_cancelled());
        drop(second);
        assert!(sockets.of_user(user).is_none(), "a seat was given back twice");
        drop(third);
        assert!(sockets.of_user(user).is_some());
        drop(first);
        assert!(sockets.users.seats().is_empty());
    }
}
