//! The bounds of the transports.

use std::time::Duration;

use super::{Sites, TrustedProxies};
use crate::{config, graphql::admission::Introspection};

/// Bounds of requests and sockets.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For the head of a request to arrive, and for a kept connection to be used again.
    pub head: Duration,
    /// Largest HTTP body, in bytes.
    pub body_bytes: usize,
    /// Most memory for bodies that arrive, in bytes.
    pub body_bytes_in_flight: usize,
    /// The same for those of one client address.
    pub body_bytes_in_flight_per_address: usize,
    /// Longest time for a body to arrive.
    pub body: Duration,
    /// Longest run of a query or mutation; subscriptions have none.
    pub operation: Duration,
    /// Largest WebSocket message, in bytes, in one frame or in several.
    pub message_bytes: usize,
    /// Operations that run on one socket at a time.
    pub operations_per_socket: usize,
    /// Messages a second that are read from one socket.
    pub messages_per_second: u32,
    /// Open sockets of one user.
    pub sockets_per_user: usize,
    /// Open sockets of one client address.
    pub sockets_per_address: usize,
    /// Open connections, sockets included.
    pub connections: usize,
    /// Open connections of one client address, sockets included.
    pub connections_per_address: usize,
    /// Time for a socket to send `connection_init`.
    pub init: Duration,
    /// Pause between two pings.
    pub ping: Duration,
    /// A socket silent for so long is closed.
    pub silence: Duration,
    /// A socket that takes no byte for so long is closed.
    pub write_stall: Duration,
    /// Who may read the schema as a file.
    pub introspection: Introspection,
    /// Who may be meant by the header `Host`, and whose pages may call.
    pub sites: Sites,
    /// Who is believed about the address of a client.
    pub proxies: TrustedProxies,
}

/// No configuration moves these: a longer operation belongs into a subscription.
const HEAD: Duration = Duration::from_secs(10);
const BODY: Duration = Duration::from_secs(30);
const OPERATION: Duration = Duration::from_secs(30);

impl From<&config::Config> for Settings {
    fn from(config: &config::Config) -> Self {
        let limits = &config.limits;
        Self {
            head: HEAD,
            body_bytes: limits.body_bytes,
            body_bytes_in_flight: limits.body_bytes_in_flight,
            body_bytes_in_flight_per_address: limits.body_bytes_in_flight_per_address(),
            body: BODY,
            operation: OPERATION,
            message_bytes: limits.socket_message_bytes,
            operations_per_socket: limits.operations_per_socket,
            messages_per_second: limits.socket_messages_per_second,
            sockets_per_user: limits.sockets_per_user,
            sockets_per_address: limits.sockets_per_address,
            connections: limits.connections,
            connections_per_address: limits.connections_per_address,
            init: Duration::from_secs(limits.init_seconds),
            ping: Duration::from_secs(limits.ping_seconds),
            silence: Duration::from_secs(limits.idle_seconds),
            write_stall: Duration::from_secs(limits.write_stall_seconds),
            introspection: config.graphql.introspection.into(),
            sites: Sites::of(config),
            proxies: TrustedProxies::new(config.server.trusted_proxies.clone()),
        }
    }
}
