//! Values of a catalogue file, with their bounds.

use std::ops::RangeInclusive;

use crate::config::document::{Refusal, filled, micro_units};

/// In credits or US dollars per 1,000,000 tokens; far above any real price, and its products still fit.
const MAX_PRICE: i64 = 10_000_000;
/// Credits of a period, a limit or one use.
const MAX_CREDITS: i64 = 1_000_000_000;
/// Of a limit that counts; the sum of many of them still fits.
pub(super) const MAX_COUNT: i64 = 1_000_000_000_000;
/// Cost points a minute; one operation may cost thousands.
pub(super) const POINTS: RangeInclusive<u32> = 100..=100_000_000;
/// The word for no bound.
pub(super) const UNLIMITED: &str = "unlimited";

/// Micro-credits.
pub(super) fn credits(text: &str) -> Result<i64, Refusal> {
    micro_units(text, MAX_CREDITS)
}

/// Micro-credits, or micro US dollars, for as many units as a price is for.
pub(super) fn price(text: &str) -> Result<i64, Refusal> {
    micro_units(text, MAX_PRICE)
}

/// `None` for the word `unlimited`.
pub(super) fn or_unlimited<T>(
    parse: impl FnOnce(&str) -> Result<T, Refusal>,
) -> impl FnOnce(&str) -> Result<Option<T>, Refusal> {
    move |text| match text {
        UNLIMITED => Ok(None),
        text => parse(text)
            .map(Some)
            .map_err(|refusal| Refusal { fix: format!("{}, or \"{UNLIMITED}\"", refusal.fix), ..refusal }),
    }
}

/// Text of one line and so many characters.
pub(super) fn filled_up_to(most: usize) -> impl FnOnce(&str) -> Result<String, Refusal> {
    move |text| {
        let text = filled(text)?;
        if text.chars().count() > most || text.chars().any(char::is_control) {
            let fix = format!("write one line of at most {most} characters");
            return Err(Refusal::new("is no line of that length", fix));
        }
        Ok(text)
    }
}

/// Names of a list, each once.
pub(super) fn list<C: FromIterator<String>>(text: &str) -> Result<C, Refusal> {
    let items: Vec<&str> = text.split(',').map(str::trim).collect();
    match items.as_slice() {
        [""] => Ok(C::from_iter([])),
        items if items.contains(&"") => Err(Refusal::new("holds an empty name", "remove it")),
        items => Ok(items.iter().map(|item| (*item).to_owned()).collect()),
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(words: &[(&'static str, T)]) -> impl FnOnce(&str) -> Result<T, Refusal> {
    move |text| {
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        found.ok_or_else(|| {
            Refusal::new("is not one of its words", format!("set it to one of: {}", known.join(", ")))
        })
    }
}

/// A name that stands in inputs, patterns and file keys.
pub(super) fn is_key(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_joint = |byte: u8| matches!(byte, b'-' | b'_' | b'.' | b':' | b'/' | b'@');
    text.len() <= 100
        && text.bytes().next().is_some_and(is_plain)
        && text.bytes().all(|byte| is_plain(byte) || is_joint(byte))
}
