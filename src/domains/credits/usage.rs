//! What a call used, and what that costs at the terms it began with.

use serde::{Deserialize, Serialize};

use crate::domains::catalog::Prices;

/// Tokens a model used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens at full price.
    pub input: u32,
    /// Prompt tokens read from the provider's cache.
    pub cached_input: u32,
    /// Prompt tokens written to the provider's cache.
    pub cache_write: u32,
    /// Answer tokens without reasoning.
    pub output: u32,
    pub reasoning: u32,
    pub source: UsageSource,
}

impl Usage {
    /// All tokens, in and out.
    pub fn tokens(&self) -> i64 {
        let Self { input, cached_input, cache_write, output, reasoning, .. } = *self;
        [input, cached_input, cache_write, output, reasoning].into_iter().map(i64::from).sum()
    }
}

/// Who counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageSource {
    Provider,
    Estimated,
}

impl UsageSource {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Estimated => "estimated",
        }
    }
}

/// Everything needed to settle without the process that began: stored with the generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    #[serde(flatten)]
    pub prices: Prices,
    /// What the provider charges, in micro US dollars for 1,000,000 tokens, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub costs: Option<Prices>,
    /// Estimated tokens of the prompt.
    pub prompt_tokens: u32,
    /// True when the plan counts calls instead of charging for them.
    #[serde(default)]
    pub is_counted: bool,
}

impl Terms {
    /// What the usage costs, in micro-credits, rounded up once.
    pub fn credits(&self, usage: &Usage) -> i64 {
        price(&self.prices, usage)
    }

    /// What the provider charges for it, in micro US dollars, rounded up once; 0 when that is not known.
    pub fn cost(&self, usage: &Usage) -> i64 {
        self.costs.map_or(0, |costs| price(&costs, usage))
    }
}

fn price(prices: &Prices, usage: &Usage) -> i64 {
    let line = |tokens: u32, price: i64| i128::from(tokens) * i128::from(price);
    let total = line(usage.input, prices.input)
        + line(usage.cached_input, prices.cached_input)
        + line(usage.cache_write, prices.cache_write)
        + line(usage.output, prices.output)
        + line(usage.reasoning, prices.reasoning);
    saturated(ceil_mega(total))
}

/// Whole micro-units of a total in millionths, rounded up.
pub fn ceil_mega(total: i128) -> i128 {
    (total + 999_999) / 1_000_000
}

pub fn saturated(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
