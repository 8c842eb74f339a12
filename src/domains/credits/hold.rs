//! The hold while a call runs, and the resolution after it.

use serde::Serialize;
use uuid::Uuid;

use super::usage::{Terms, Usage};
use crate::platform::metrics::names;

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
    /// The hold of a call that was admitted.
    pub(super) fn opened(
        id: Uuid,
        terms: Terms,
        output_cap: u32,
        credits_held: i64,
        is_capped: bool,
    ) -> Self {
        Self { id, terms, output_cap, credits_held, is_capped, is_resolved: false }
    }

    /// A hold that another process left open, found by the sweeper.
    pub fn inherited(id: Uuid, terms: Terms, credits_held: i64) -> Self {
        Self { id, terms, output_cap: 0, credits_held, is_capped: false, is_resolved: false }
    }

    /// Id of the hold and of the generation it pays for.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// True when the cap was lowered to what the balance and the limits cover.
    pub fn is_capped(&self) -> bool {
        self.is_capped
    }

    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Spends what was used, at most what is held, and returns the rest.
    pub fn settle(mut self, usage: Usage) -> Resolution {
        self.is_resolved = true;
        let actual = Actual {
            credits: self.terms.credits(&usage),
            tokens: usage.tokens(),
            cost: self.terms.cost(&usage),
        };
        let kind = ResolutionKind::Settled { usage, actual };
        let credits_charged = actual.credits.min(self.credits_held);
        Resolution { hold_id: self.id, kind, credits_charged, is_counted: self.terms.is_counted }
    }

    /// Returns everything.
    pub fn release(mut self) -> Resolution {
        self.is_resolved = true;
        let (kind, is_counted) = (ResolutionKind::Released, self.terms.is_counted);
        Resolution { hold_id: self.id, kind, credits_charged: 0, is_counted }
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
    /// True when the plan counts calls instead of charging for them: then nothing is charged, and nothing overrun.
    is_counted: bool,
}

impl Resolution {
    /// Counts it, once it is known to be stored.
    pub fn count(&self) {
        let count = |micro: i64| u64::try_from(micro).unwrap_or_default();
        if let ResolutionKind::Settled { actual, .. } = self.kind {
            names::CREDITS_CHARGED.add([], count(self.credits_charged));
            if !self.is_counted {
                names::CREDITS_OVERRUN.add([], count(actual.credits - self.credits_charged));
            }
        }
    }
}

/// What was really used, which may exceed the hold; the excess is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Actual {
    /// Micro-credits.
    pub credits: i64,
    /// In and out.
    pub tokens: i64,
    /// Micro US dollars that the provider charges; 0 when unknown.
    pub cost: i64,
}

#[derive(Debug, Clone, Copy)]
pub enum ResolutionKind {
    Settled { usage: Usage, actual: Actual },
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
            Self::Settled { actual, .. } => serde_json::json!(actual),
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
    use super::*;
    use crate::domains::{catalog::Prices, credits::UsageSource};

    #[test]
    fn a_charge_never_exceeds_its_hold() {
        let prices = Prices {
            input: 1_000_000,
            cached_input: 0,
            cache_write: 1_250_000,
            output: 1_000_000,
            reasoning: 1_000_000,
        };
        let terms = Terms { prices, costs: None, prompt_tokens: 1, is_counted: false };
        let usage = Usage {
            input: 100,
            cached_input: 0,
            cache_write: 0,
            output: 100,
            reasoning: 0,
            source: UsageSource::Provider,
        };
        assert_eq!(Hold::inherited(Uuid::nil(), terms, 150).settle(usage).credits_charged, 150);
        assert_eq!(Hold::inherited(Uuid::nil(), terms, 500).settle(usage).credits_charged, 200);
        assert_eq!(Hold::inherited(Uuid::nil(), terms, 500).release().credits_charged, 0);
    }
}
