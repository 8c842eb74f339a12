//! What use costs, and from when on.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What a price counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceUnit {
    InputToken,
    CachedInputToken,
    CacheWriteToken,
    OutputToken,
    ReasoningToken,
    Image,
    Character,
    Second,
}

impl PriceUnit {
    pub const ALL: [Self; 8] = [
        Self::InputToken,
        Self::CachedInputToken,
        Self::CacheWriteToken,
        Self::OutputToken,
        Self::ReasoningToken,
        Self::Image,
        Self::Character,
        Self::Second,
    ];

    /// Name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InputToken => "input_token",
            Self::CachedInputToken => "cached_input_token",
            Self::CacheWriteToken => "cache_write_token",
            Self::OutputToken => "output_token",
            Self::ReasoningToken => "reasoning_token",
            Self::Image => "image",
            Self::Character => "character",
            Self::Second => "second",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.as_str() == text)
    }

    /// Name in a catalogue file.
    pub fn word(self) -> &'static str {
        self.as_str().strip_suffix("_token").unwrap_or(self.as_str())
    }

    /// How many of them a price is for.
    pub fn per(self) -> i32 {
        match self {
            Self::Image | Self::Second => 1,
            _ => 1_000_000,
        }
    }
}

/// Price of one unit, times [`PriceUnit::per`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitPrice {
    /// Micro-credits.
    pub credits: i64,
    /// What the provider charges, in micro US dollars, when known.
    pub cost: Option<i64>,
}

/// Everything a model costs from one instant on; what is not in it has no price of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceList {
    /// `None`: since the model is in the catalogue.
    pub from: Option<DateTime<Utc>>,
    pub units: BTreeMap<PriceUnit, UnitPrice>,
}

/// Micro-units per 1,000,000 tokens of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prices {
    pub input: i64,
    pub cached_input: i64,
    pub cache_write: i64,
    pub output: i64,
    pub reasoning: i64,
}

impl Prices {
    /// Those that `price` finds. A part of the prompt without a price of its own costs what input costs, reasoning what
    /// output costs; `None` without these two.
    pub(super) fn find(price: impl Fn(PriceUnit) -> Option<i64>) -> Option<Self> {
        let (input, output) = (price(PriceUnit::InputToken)?, price(PriceUnit::OutputToken)?);
        Some(Self {
            input,
            cached_input: price(PriceUnit::CachedInputToken).unwrap_or(input),
            cache_write: price(PriceUnit::CacheWriteToken).unwrap_or(input),
            output,
            reasoning: price(PriceUnit::ReasoningToken).unwrap_or(output),
        })
    }

    /// The most that a token of a prompt can cost: what a cache has of it, and takes of it, is known only afterwards.
    pub fn dearest_input(&self) -> i64 {
        self.input.max(self.cached_input).max(self.cache_write)
    }

    /// The most that a token of an answer can cost.
    pub fn dearest_output(&self) -> i64 {
        self.output.max(self.reasoning)
    }
}
