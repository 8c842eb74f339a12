//! Pricing one model call: the quote before it, the hold while it runs, the resolution after it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    domains::catalog::{Model, Plan, Prices},
    platform::metrics::names,
};

/// Tokens a model used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens at full price.
    pub input: u32,
    /// Prompt tokens read from the provider's cache.
    pub cached_input: u32,
    /// Answer tokens without reasoning.
    pub output: u32,
    pub reasoning: u32,
    pub source: UsageSource,
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
    /// Estimated tokens of the prompt.
    pub prompt_tokens: u32,
}

impl Terms {
    /// What the usage costs, in micro-credits, rounded up once.
    pub fn cost(&self, usage: &Usage) -> i64 {
        let line = |tokens: u32, price: i64| i128::from(tokens) * i128::from(price);
        let output = usage.output.saturating_add(usage.reasoning);
        let total = line(usage.input, self.prices.input)
            + line(usage.cached_input, self.prices.cached_input)
            + line(output, self.prices.output);
        i64::try_from(ceil_mega(total)).unwrap_or(i64::MAX)
    }
}

/// What a call may cost: the fixed price of its prompt, and a price for each token of output.
#[derive(Debug, Clone)]
pub struct Quote {
    pub terms: Terms,
    /// Wished cap of output tokens.
    pub wanted: u32,
    /// Below this cap the call is refused.
    pub min: u32,
}

impl Quote {
    /// `wanted` is lowered to what the model can do.
    pub fn new(model: &Model, plan: &Plan, prompt_tokens: u32, wanted: Option<u32>) -> Self {
        let wanted = wanted.unwrap_or(model.max_output_tokens).min(model.max_output_tokens);
        let min = plan.content.min_output_tokens.min(wanted);
        Self { terms: Terms { prices: model.prices, prompt_tokens }, wanted, min }
    }

    /// The same with the most it may cost in micro-credits; `None` when that does not pay for the least.
    pub fn at_most(mut self, credits: i64) -> Option<Self> {
        let room = i128::from(credits) - i128::from(self.fixed());
        let payable = match self.terms.prices.output {
            0 if room >= 0 => i128::from(self.wanted),
            0 => -1,
            rate => room * 1_000_000 / i128::from(rate),
        };
        self.wanted = u32::try_from(payable.clamp(0, i128::from(self.wanted))).ok()?;
        (room >= 0 && self.wanted >= self.min).then_some(self)
    }

    /// Least the call may cost, in micro-credits: the prompt and the least output.
    pub fn least(&self) -> i64 {
        let output = i128::from(self.min) * i128::from(self.terms.prices.output);
        self.fixed().saturating_add(i64::try_from(ceil_mega(output)).unwrap_or(i64::MAX))
    }

    /// Price of the prompt in micro-credits.
    fn fixed(&self) -> i64 {
        let total = i128::from(self.terms.prompt_tokens) * i128::from(self.terms.prices.input);
        i64::try_from(ceil_mega(total)).unwrap_or(i64::MAX)
    }

    /// The lines that the database function `ledger_hold` reads.
    pub fn lines(&self) -> serde_json::Value {
        serde_json::json!([{ "kind": "wallet", "meter": "credits", "fixed": self.fixed(), "rate": self.terms.prices.output }])
    }

    /// The hold that the database opened under `id`: the cap it admitted and the micro-credits it took.
    pub fn admitted(self, id: Uuid, output_cap: i64, credits_held: i64) -> Hold {
        let output_cap = u32::try_from(output_cap).unwrap_or(self.wanted);
        let is_capped = output_cap < self.wanted;
        names::CREDITS_HELD.add([], u64::try_from(credits_held).unwrap_or_default());
        Hold { id, terms: self.terms, output_cap, credits_held, is_capped, is_resolved: false }
    }
}

fn ceil_mega(total: i128) -> i128 {
    (total + 999_999) / 1_000_000
}

/// Credits reserved for one model call. It is neither copied nor cloned: [`Hold::settle`] or [`Hold::release`] ends
/// it. One that is dropped unresolved is logged and left to the sweeper that ends the work of dead processes.
#[derive(Debug)]
pub struct Hold {
    id: Uuid,
    terms: Terms,
    output_cap: u32,
    credits_held: i64,
    is_capped: bool,
    is_resolved: bool,
}

impl Hold {
    /// A hold that another process left open, found by the sweeper.
    pub fn inherited(id: Uuid, terms: Terms, credits_held: i64) -> Self {
        Self { id, terms, output_cap: 0, credits_held, is_capped: false, is_resolved: false }
    }

    /// Id of the hold and of the generation it pays for.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// True when the cap was lowered to what the balance covers.
    pub fn is_capped(&self) -> bool {
        self.is_capped
    }

    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Spends what was used, at most what is held, and returns the rest.
    pub fn settle(mut self, usage: Usage) -> Resolution {
        self.is_resolved = true;
        let actual = self.terms.cost(&usage);
        let kind = ResolutionKind::Settled { usage, actual };
        Resolution { hold_id: self.id, kind, credits_charged: actual.min(self.credits_held) }
    }

    /// Returns everything.
    pub fn release(mut self) -> Resolution {
        self.is_resolved = true;
        Resolution { hold_id: self.id, kind: ResolutionKind::Released, credits_charged: 0 }
    }

    /// Gives the hold up without a resolution, because another process has taken its work over.
    pub fn abandon(mut self) {
        self.is_resolved = true;
    }
}

impl crate::providers::types::Funding for Hold {
    fn output_cap(&self) -> u32 {
        self.output_cap
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.is_resolved {
            tracing::error!(hold.id = %self.id, "a hold was dropped unresolved; it is returned when this process ends");
        }
    }
}

/// How a hold ends; goes into the statement that ends the work.
#[derive(Debug, Clone)]
pub struct Resolution {
    pub hold_id: Uuid,
    pub kind: ResolutionKind,
    /// Micro-credits the customer pays.
    pub credits_charged: i64,
}

impl Resolution {
    /// Counts it, once it is known to be stored.
    pub fn count(&self) {
        let count = |micro: i64| u64::try_from(micro).unwrap_or_default();
        if let ResolutionKind::Settled { actual, .. } = self.kind {
            names::CREDITS_CHARGED.add([], count(self.credits_charged));
            names::CREDITS_OVERRUN.add([], count(actual - self.credits_charged));
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub enum ResolutionKind {
    /// `actual` is the cost in micro-credits, which may exceed the hold; the excess is ours.
    Settled {
        usage: Usage,
        actual: i64,
    },
    Released,
}

impl ResolutionKind {
    /// State of the hold afterwards.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Settled { .. } => "settled",
            Self::Released => "released",
        }
    }

    /// Cost of each meter, as the database function `ledger_settle` reads it.
    pub fn actual(&self) -> serde_json::Value {
        match self {
            Self::Settled { actual, .. } => serde_json::json!({ "credits": actual }),
            Self::Released => serde_json::json!({}),
        }
    }

    pub fn usage(&self) -> Option<&Usage> {
        match self {
            Self::Settled { usage, .. } => Some(usage),
            Self::Released => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quote(prices: Prices, prompt_tokens: u32, wanted: u32) -> Quote {
        Quote { terms: Terms { prices, prompt_tokens }, wanted, min: 1 }
    }

    proptest! {
        /// What is held covers every usage within the estimate and the cap.
        #[test]
        fn a_hold_covers_the_cap(input in 0_i64..10_000_000_000, output in 0_i64..10_000_000_000,
                                 prompt in 0_u32..200_000, cap in 1_u32..200_000, share in 0.0_f64..=1.0) {
            let prices = Prices { input, cached_input: input / 2, output };
            let quote = quote(prices, prompt, cap);
            let held = i128::from(quote.fixed()) + ceil_mega(i128::from(output) * i128::from(cap));
            let used = (f64::from(cap) * share) as u32;
            let usage = Usage { input: prompt, cached_input: 0, output: used, reasoning: cap - used, source: UsageSource::Provider };
            prop_assert!(i128::from(quote.terms.cost(&usage)) <= held);
        }

        /// A budget is never exceeded by the cap it allows.
        #[test]
        fn a_budget_lowers_the_cap(output in 1_i64..10_000_000_000, prompt in 0_u32..1_000, budget in 0_i64..1_000_000_000) {
            let prices = Prices { input: 1_000_000, cached_input: 0, output };
            if let Some(quote) = quote(prices, prompt, 100_000).at_most(budget) {
                let usage = Usage { input: prompt, cached_input: 0, output: quote.wanted, reasoning: 0, source: UsageSource::Provider };
                prop_assert!(quote.terms.cost(&usage) <= budget);
            }
        }
    }

    #[test]
    fn a_charge_never_exceeds_its_hold() {
        let terms = Terms {
            prices: Prices { input: 1_000_000, cached_input: 0, output: 1_000_000 },
            prompt_tokens: 1,
        };
        let usage =
            Usage { input: 100, cached_input: 0, output: 100, reasoning: 0, source: UsageSource::Provider };
        assert_eq!(Hold::inherited(Uuid::nil(), terms, 150).settle(usage).credits_charged, 150);
        assert_eq!(Hold::inherited(Uuid::nil(), terms, 500).settle(usage).credits_charged, 200);
        assert_eq!(Hold::inherited(Uuid::nil(), terms, 500).release().credits_charged, 0);
    }
}
