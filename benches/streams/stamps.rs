//! Tokens that say when they were made. Provider and clients are one process, so one clock reads both ends.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Bytes of a token: its time in hexadecimal, and a space.
pub const LENGTH: usize = 17;

/// A token made now.
pub fn token() -> String {
    let now = u64::try_from(BEGIN.elapsed().as_nanos()).unwrap();
    format!("{now:016x} ")
}

/// How long ago each token of a text was made. The text may go on with something else.
pub fn ages(text: &[u8]) -> impl Iterator<Item = Duration> {
    let now = BEGIN.elapsed();
    let token = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes.strip_suffix(b" ")?).ok()?;
        u64::from_str_radix(text, 16).ok()
    };
    text.chunks_exact(LENGTH).map_while(token).map(move |at| now.saturating_sub(Duration::from_nanos(at)))
}

/// The ages of all tokens in a message: whatever follows `marker` up to the first thing that is no token.
pub fn ages_after(message: &[u8], marker: &[u8]) -> Vec<Duration> {
    let mut found = Vec::new();
    let mut rest = message;
    while let Some(at) = rest.windows(marker.len()).position(|bytes| bytes == marker) {
        rest = &rest[at + marker.len()..];
        found.extend(ages(rest));
    }
    found
}

/// What clients have received, for whoever looks on.
#[derive(Default)]
pub struct Received(AtomicU64);

impl Received {
    pub fn add(&self, tokens: usize) {
        self.0.fetch_add(tokens as u64, Ordering::Relaxed);
    }

    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The value below which so much of all values is, such as 0.99, in milliseconds.
pub fn quantile(values: &mut [Duration], part: f64) -> f64 {
    values.sort_unstable();
    let place = (values.len() as f64 * part) as usize;
    values.get(place.min(values.len().saturating_sub(1))).map_or(f64::NAN, |value| value.as_secs_f64() * 1e3)
}
