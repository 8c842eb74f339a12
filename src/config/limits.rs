//! `[streams]` and `[limits]`: the bounds of one process.

use super::{faults::Refusal, reader::Reader};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// `[streams]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Streams {
    /// How long tokens are gathered before they are stored and delivered together.
    pub flush_ms: u64,
    /// How long a replica may be silent before others take over its work.
    pub lease_ms: u64,
    /// Longest run of one generation.
    pub max_generation_seconds: u64,
    /// How long a finished stream can still be resumed.
    pub retention_minutes: u64,
}

impl Streams {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let mut section = reader.section(&["streams"]);
        Self {
            flush_ms: section.whole("flush_ms", 10, 1..=100),
            lease_ms: section.whole("lease_ms", 8_000, 1_000..=60_000),
            max_generation_seconds: section.whole("max_generation_seconds", 300, 1..=3600),
            retention_minutes: section.whole("retention_minutes", 15, 1..=1440),
        }
    }
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest HTTP body.
    pub body_bytes: usize,
    /// Most memory for HTTP bodies that arrive, of all clients.
    pub body_bytes_in_flight: usize,
    /// Largest GraphQL document.
    pub document_bytes: usize,
    /// Largest WebSocket message.
    pub socket_message_bytes: usize,
    /// Most points that one operation may cost; the model is that of the directive `@cost`.
    pub operation_cost: u64,
    /// Operations that run on one socket at a time.
    pub operations_per_socket: usize,
    /// Messages a second that are read from one socket; the rest waits in the network.
    pub socket_messages_per_second: u32,
    /// Open sockets of one user.
    pub sockets_per_user: usize,
    /// Open sockets of one client address.
    pub sockets_per_address: usize,
    /// Open connections of this process, sockets included.
    pub connections: usize,
    /// Open connections of one client address, sockets included.
    pub connections_per_address: usize,
    /// How long a socket may take to introduce itself.
    pub init_seconds: u64,
    /// How often a socket is asked for a sign of life.
    pub ping_seconds: u64,
    /// A socket silent for this long is closed.
    pub idle_seconds: u64,
    /// A socket that takes no byte for this long is closed.
    pub write_stall_seconds: u64,
}

impl Limits {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let mut section = reader.section(&["limits"]);
        let limits = Self {
            body_bytes: section.whole("body_bytes", MIB, KIB..=64 * MIB),
            body_bytes_in_flight: section.whole("body_bytes_in_flight", 64 * MIB, 8 * KIB..=2048 * MIB),
            document_bytes: section.whole("document_bytes", 64 * KIB, KIB..=MIB),
            socket_message_bytes: section.whole("socket_message_bytes", 256 * KIB, KIB..=16 * MIB),
            operation_cost: section.whole("operation_cost", 2_000, 1..=1_000_000),
            operations_per_socket: section.whole("operations_per_socket", 20, 1..=1000),
            socket_messages_per_second: section.whole("socket_messages_per_second", 20, 1..=10_000),
            sockets_per_user: section.whole("sockets_per_user", 10, 1..=10_000),
            sockets_per_address: section.whole("sockets_per_address", 100, 1..=1_000_000),
            connections: section.whole("connections", 10_000, 16..=1_000_000),
            connections_per_address: section.whole("connections_per_address", 1_000, 4..=1_000_000),
            init_seconds: section.whole("init_seconds", 10, 1..=60),
            ping_seconds: section.whole("ping_seconds", 20, 1..=300),
            idle_seconds: section.whole("idle_seconds", 60, 2..=3600),
            write_stall_seconds: section.whole("write_stall_seconds", 10, 1..=300),
        };
        if limits.ping_seconds >= limits.idle_seconds {
            section.refuse(
                "ping_seconds",
                Refusal::new(
                    "would ping after the socket is closed for silence",
                    "keep it below idle_seconds",
                ),
            );
        }
        if limits.sockets_per_address > limits.connections_per_address {
            section.refuse(
                "sockets_per_address",
                Refusal::new(
                    "is more than the connections of an address, which sockets are too",
                    "keep it within connections_per_address",
                ),
            );
        }
        if limits.body_bytes > limits.body_bytes_in_flight_per_address() {
            section.refuse(
                "body_bytes_in_flight",
                Refusal::new(
                    "leaves an address, which may hold an eighth of it, no room for one body",
                    "set it to 8 times body_bytes or more",
                ),
            );
        }
        if limits.document_bytes > limits.body_bytes {
            section.refuse(
                "document_bytes",
                Refusal::new("is larger than the body that carries it", "keep it within body_bytes"),
            );
        }
        limits
    }

    /// The part of [`Self::body_bytes_in_flight`] that one client address may hold.
    pub fn body_bytes_in_flight_per_address(&self) -> usize {
        self.body_bytes_in_flight / 8
    }
}
