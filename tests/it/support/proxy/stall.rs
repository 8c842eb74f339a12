//! Places at which a client waits for ever, so that a test can kill it there.

use std::sync::Mutex;

use tokio_util::sync::CancellationToken;

use super::Flight;

/// On which side of a statement its client waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The server never hears of it.
    Before,
    /// It has been done and is committed, unless a transaction is open; its client never hears of that.
    After,
}

/// A place that was asked for.
#[derive(Debug, Clone)]
pub struct Stall(pub(super) CancellationToken);

impl Stall {
    /// Returns once somebody waits there.
    pub async fn reached(&self) {
        self.0.cancelled().await;
    }

    pub fn is_reached(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// The places that nobody has come to.
#[derive(Default)]
pub(super) struct Stalls(Mutex<Vec<(&'static str, Side, Stall)>>);

impl Stalls {
    pub(super) fn add(&self, text: &'static str, side: Side) -> Stall {
        let stall = Stall(CancellationToken::new());
        self.0.lock().unwrap().push((text, side, stall.clone()));
        stall
    }

    /// The place that one of these flights has come to; it is taken.
    pub(super) fn take(&self, flights: &[Flight]) -> Option<(Side, Stall)> {
        let mut stalls = self.0.lock().unwrap();
        let is_here =
            |text: &str| flights.iter().any(|flight| !flight.is_preparation && flight.sql.contains(text));
        let place = stalls.iter().position(|(text, ..)| is_here(text))?;
        let (_, side, stall) = stalls.swap_remove(place);
        Some((side, stall))
    }
}
