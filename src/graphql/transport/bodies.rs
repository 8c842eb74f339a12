//! Bodies of requests, collected within bounds: how long one may take, how large it may be, and how many bytes of all of
//! them are in memory at a time.
//!
//! Nobody is known before the body is read, so strangers could fill the memory with bodies that never end. Room is taken
//! for what is really there, never for what a header promises, which costs nothing to say. Invariants:
//!
//! - bodies hold at most [`Bodies`]' bytes in all and its share an address, besides [`UNCOUNTED`] a connection;
//! - room is given back with the body, whatever ends it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    body::Body,
    http::{StatusCode, header::CONNECTION},
};
use http_body_util::{BodyExt, LengthLimitError};

use super::{Transport, answer::Refusal};
use crate::{error::ErrorCode, platform::places::network_of};

/// What any body may hold. It is little beside the connection itself and enough for a usual operation, so those are
/// answered also while others hold all the room there is.
const UNCOUNTED: usize = 8 * 1024;

/// The room for bodies of this process, in bytes.
pub struct Bodies {
    limit: usize,
    share: usize,
    held: Mutex<Held>,
}

/// Holds only addresses that have a body on its way, so it is bounded by the open connections.
#[derive(Default)]
struct Held {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Bodies {
    /// `limit` for all, `share` for one address.
    pub fn new(limit: usize, share: usize) -> Arc<Self> {
        Arc::new(Self { limit, share, held: Mutex::default() })
    }

    /// Bytes taken by all bodies.
    pub fn held(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).total
    }

    fn room(self: &Arc<Self>, address: IpAddr) -> Room {
        Room { bodies: Arc::clone(self), address: network_of(address), bytes: 0 }
    }
}

/// What one body takes up; free again when dropped.
struct Room {
    bodies: Arc<Bodies>,
    address: IpAddr,
    bytes: usize,
}

impl Room {
    /// True when there is room for a body of so many bytes, which is then taken.
    fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(UNCOUNTED).saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let mut held = self.bodies.held.lock().unwrap_or_else(PoisonError::into_inner);
        let total = held.total.saturating_add(more);
        let of_address = held.by_address.get(&self.address).map_or(more, |bytes| bytes.saturating_add(more));
        if total > self.bodies.limit || of_address > self.bodies.share {
            return false;
        }
        held.total = total;
        held.by_address.insert(self.address, of_address);
        self.bytes += more;
        true
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut held = self.bodies.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.total -= self.bytes;
        match held.by_address.get_mut(&self.address) {
            Some(bytes) if *bytes > self.bytes => *bytes -= self.bytes,
            _ => drop(held.by_address.remove(&self.address)),
        }
    }
}

/// A whole body. It has its room until it is dropped.
pub struct Collected {
    pub bytes: Vec<u8>,
    _room: Room,
}

/// Collects the body of a request from this address; its length is limited by the layer around all routes.
pub async fn read(transport: &Transport, address: IpAddr, body: Body) -> Result<Collected, Refusal> {
    let settings = &transport.settings;
    let room = transport.bodies.room(address);
    let collected = collect(body, room, settings.body_bytes);
    tokio::time::timeout(settings.body, collected).await.unwrap_or_else(|_| {
        let message = "The body of the request took too long to arrive.";
        Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::Timeout, message))
    })
}

/// Copies the body into one buffer: its chunks, however small, each keep what they were read into.
async fn collect(mut body: Body, mut room: Room, maximum: usize) -> Result<Collected, Refusal> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| refuse(&error, maximum))?;
        // Trailers mean nothing here.
        let Ok(chunk) = frame.into_data() else { continue };
        let length = bytes.len() + chunk.len();
        if length > bytes.capacity() {
            let capacity = length.next_power_of_two().min(maximum).max(length);
            if !room.grow_to(capacity) {
                return Err(no_room());
            }
            bytes.reserve_exact(capacity - bytes.len());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Collected { bytes, _room: room })
}

fn refuse(error: &axum::Error, maximum: usize) -> Refusal {
    if is_too_large(error) {
        return too_large(maximum);
    }
    Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, "The body of the request broke off.")
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut source = Some(error as &(dyn std::error::Error + 'static));
    while let Some(error) = source {
        if error.is::<LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// The refusal of a body beyond the limit.
pub fn too_large(maximum: usize) -> Refusal {
    let message = format!("The body of the request is too large; the limit is {maximum} bytes.");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::BadUserInput, message)
}

/// The rest of the body is not read, so nothing can follow it.
fn no_room() -> Refusal {
    let message = "Too many large requests are arriving. Please try again in a moment.";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::ServiceUnavailable, message)
        .with_header(CONNECTION, "close")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn neither_all_nor_one_address_hold_more_than_their_bytes() {
        let bodies = Bodies::new(100, 60);
        let mut first = bodies.room(address("2001:db8::1"));
        assert!(first.grow_to(UNCOUNTED + 40) && first.grow_to(UNCOUNTED + 40) && first.grow_to(1));
        // The same subscriber of IPv6.
        let mut second = bodies.room(address("2001:db8::2"));
        assert!(!second.grow_to(UNCOUNTED + 21) && second.grow_to(UNCOUNTED + 20));
        let mut other = bodies.room(address("192.0.2.1"));
        assert!(!other.grow_to(UNCOUNTED + 41) && other.grow_to(UNCOUNTED + 40));
        assert_eq!(bodies.held(), 100);
        let mut third = bodies.room(address("192.0.2.2"));
        assert!(third.grow_to(UNCOUNTED) && !third.grow_to(UNCOUNTED + 1));
        drop(first);
        assert!(third.grow_to(UNCOUNTED + 40) && second.grow_to(UNCOUNTED + 20));
        drop((second, other, third));
        assert!(bodies.held() == 0 && bodies.held.lock().unwrap().by_address.is_empty());
    }
}
