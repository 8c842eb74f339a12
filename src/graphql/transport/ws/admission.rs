//! How many sockets are open, by address and by user.

use std::{net::IpAddr, sync::Arc};

use uuid::Uuid;

use crate::platform::places::{Place, Places, network_of};

/// Open sockets of this process.
pub struct Sockets {
    addresses: Arc<Places<IpAddr>>,
    users: Arc<Places<Uuid>>,
}

impl Sockets {
    pub fn new(per_address: usize, per_user: usize) -> Self {
        Self { addresses: Places::new(per_address), users: Places::new(per_user) }
    }

    /// A place for a socket from this address, unless it has as many as allowed.
    pub fn of_address(&self, address: IpAddr) -> Option<Place<IpAddr>> {
        self.addresses.take(network_of(address))
    }

    /// A place for a socket of this user, unless the user has as many as allowed.
    pub(super) fn of_user(&self, user: Uuid) -> Option<Place<Uuid>> {
        self.users.take(user)
    }

    /// Sockets that have introduced themselves with a credential.
    pub fn of_users(&self) -> usize {
        self.users.taken()
    }
}
