//! Accepting connections and serving HTTP/1.1 on each, all of it bounded: how many there are, in all and from one
//! address, how long a head may take to arrive, how long a keep-alive may be silent, how large a head may be.
//!
//! A connection has its places from the moment it is accepted until its stream is closed, also when it has become a
//! socket. One address cannot take the places of all others, whether it sends a byte or not.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::{descriptors, stall::StallGuard};
use crate::{
    graphql::transport::TrustedProxies,
    platform::{
        metrics::{Held, names},
        places::{Place, Places, network_of},
    },
};

/// Largest head of a request, in bytes.
const MAX_HEAD: usize = 32 * 1024;

/// Pause after a failed accept: mostly the process is out of file descriptors, and only time gives some back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bounds of connections.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Connections at a time; the next ones wait in the queue of the system. Fewer where descriptors are scarce.
    pub connections: usize,
    /// For the head of a request to arrive, and for a kept connection to be used again.
    pub head: Duration,
    /// For a write to move on.
    pub write_stall: Duration,
}

/// The loop that accepts.
pub(super) struct Accepting {
    pub listener: TcpListener,
    pub router: Router,
    pub connections: TaskTracker,
    pub limits: Limits,
    /// Places by address; a connection that finds none is closed at once.
    pub addresses: Arc<Places<IpAddr>>,
    /// Their connections are those of many clients, so only the bound of the process holds for them.
    pub proxies: TrustedProxies,
    /// Accept no more; let each connection finish its request.
    pub closing: CancellationToken,
    /// End now.
    pub cut: CancellationToken,
}

/// What a connection takes up: a place of the process and, unless a trusted proxy made it, one of its address.
type Seat = (OwnedSemaphorePermit, Option<Place<IpAddr>>, Held);

impl Accepting {
    pub(super) async fn run(self) {
        let places = Arc::new(Semaphore::new(descriptors::fitting(self.limits.connections)));
        let closing = self.closing.clone();
        let accept = async {
            loop {
                // Nobody closes the semaphore.
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                match self.listener.accept().await {
                    Ok((stream, peer)) => self.seat(stream, peer, place),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = closing.cancelled() => {}
            () = accept => {}
        }
    }

    /// Starts a connection, unless its address has too many.
    fn seat(&self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
        let of_address = match self.proxies.has(peer.ip()) {
            true => None,
            false => match self.addresses.take(network_of(peer.ip())) {
                Some(place) => Some(place),
                None => {
                    tracing::debug!(address = %peer.ip(), "an address has too many connections");
                    return;
                }
            },
        };
        self.start(stream, peer, (place, of_address, names::HTTP_CONNECTIONS.hold([])));
    }

    fn start(&self, stream: TcpStream, peer: SocketAddr, seat: Seat) {
        let router = self.router.clone();
        let (closing, cut) = (self.closing.clone(), self.cut.clone());
        let head = self.limits.head;
        // Tokens are small and must not wait for each other. Without it they are only slower.
        let _ = stream.set_nodelay(true);
        notice_vanished(&stream);
        let stream = StallGuard::new(stream, self.limits.write_stall, seat);
        self.connections.spawn(async move {
            tokio::select! {
                () = cut.cancelled() => {}
                () = serve(stream, peer, router, head, closing) => {}
            }
        });
    }
}

/// Ends the connection to a machine that has vanished when nothing that was sent has arrived for so long. Without it the
/// system takes a quarter of an hour.
#[cfg(target_os = "linux")]
fn notice_vanished(stream: &TcpStream) {
    const UNHEARD_MS: u32 = 60_000;
    // Without it the connection only stays longer.
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, UNHEARD_MS);
}

/// Elsewhere the system decides.
#[cfg(not(target_os = "linux"))]
fn notice_vanished(_: &TcpStream) {}

/// Serves one connection until it ends or becomes a socket.
async fn serve(
    stream: StallGuard<TcpStream, Seat>,
    peer: SocketAddr,
    router: Router,
    head: Duration,
    closing: CancellationToken,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = router.clone();
        router.oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection broke off");
    }
}
