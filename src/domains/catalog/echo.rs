//! The model that is always there.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    content::ModelContent,
    prices::{PriceList, PriceUnit, UnitPrice},
};
use crate::providers::echo::Echo;

/// The built-in model with its key: 0.2 credits for a thousand tokens in, one for a thousand out, so that a short talk
/// shows.
pub(super) fn echo() -> (&'static str, ModelContent) {
    let price = |credits| UnitPrice { credits, cost: Some(0) };
    let units = BTreeMap::from([
        (PriceUnit::InputToken, price(200_000_000)),
        (PriceUnit::CachedInputToken, price(200_000_000)),
        (PriceUnit::OutputToken, price(1_000_000_000)),
    ]);
    let content = ModelContent {
        name: "Echo".to_owned(),
        aliases: BTreeSet::new(),
        provider: Echo::KEY.to_owned(),
        upstream: Echo::KEY.to_owned(),
        context_tokens: 128_000,
        max_output_tokens: 10_000,
        prices: vec![PriceList { from: None, units }],
    };
    (Echo::KEY, content)
}
