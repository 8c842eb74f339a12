//! Who this process is among its replicas. An identity is a row of `replicas` with a lease; everything the process owns
//! lives by it. Whoever renews the lease also changes the identity here, once another process has fenced the old one.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Who this process is at the moment.
#[derive(Debug, Clone)]
pub struct Identity {
    pub replica_id: Uuid,
    /// Cancelled when another process fenced this identity: write nothing more for it.
    pub fenced: CancellationToken,
}

impl Identity {
    pub fn new(replica_id: Uuid) -> Self {
        Self { replica_id, fenced: CancellationToken::new() }
    }
}

/// The identity of this process, as it changes; clones see the same.
#[derive(Debug, Clone)]
pub struct Replica(watch::Receiver<Identity>);

impl Replica {
    /// Begins with an identity; the other half changes it.
    pub fn new(identity: Identity) -> (watch::Sender<Identity>, Self) {
        let (sender, receiver) = watch::channel(identity);
        (sender, Self(receiver))
    }

    /// Who this process is, or was until it was fenced.
    pub fn current(&self) -> Identity {
        self.0.borrow().clone()
    }

    /// Waits until the identity is another than `id`, for who learned of its fence first. `None` when there will be none.
    pub async fn other_than(&self, id: Uuid) -> Option<Identity> {
        let is_other = |identity: &Identity| identity.replica_id != id;
        self.0.clone().wait_for(is_other).await.ok().map(|identity| identity.clone())
    }

    /// Waits until the identity is one that nobody has fenced. `None` when there will be none: the process is ending.
    pub async fn alive(&self) -> Option<Identity> {
        let is_alive = |identity: &Identity| !identity.fenced.is_cancelled();
        self.0.clone().wait_for(is_alive).await.ok().map(|identity| identity.clone())
    }
}
