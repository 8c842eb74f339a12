//! Models and their prices.

use std::sync::Arc;

use async_graphql::{Enum, Object, SimpleObject};

use crate::{domains::catalog, graphql::scalars::Decimal, platform::ids::Id};

/// Model in the catalogue.
#[derive(Clone)]
pub struct Model(pub Arc<catalog::Model>);

/// Model in the catalogue.
#[Object]
impl Model {
    /// Id with the prefix `mdl_`.
    pub async fn id(&self) -> Id<catalog::Model> {
        self.0.id.into()
    }

    /// Name used in inputs, such as `gpt-4.1`.
    async fn key(&self) -> &str {
        &self.0.key
    }

    /// Other names that lead to it.
    async fn aliases(&self) -> &[String] {
        &self.0.aliases
    }

    /// Name for people.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Provider tried first, such as `openai`.
    async fn provider(&self) -> &str {
        &self.0.provider
    }

    /// Most tokens in, or null when it takes none.
    async fn context_tokens(&self) -> Option<u32> {
        Some(self.0.context_tokens)
    }

    /// Most tokens out, or null when it makes none.
    async fn max_output_tokens(&self) -> Option<u32> {
        Some(self.0.max_output_tokens)
    }

    /// Prices in force today.
    async fn prices(&self) -> Vec<ModelPrice> {
        let price = |(unit, price): &(catalog::PriceUnit, catalog::UnitPrice)| ModelPrice {
            unit: (*unit).into(),
            per: unit.per(),
            credits: Some(Decimal::of_micro(price.credits)),
        };
        self.0.unit_prices.iter().map(price).collect()
    }
}

/// Price of one kind of use.
#[derive(SimpleObject)]
pub struct ModelPrice {
    /// What is counted.
    unit: PriceUnit,
    /// Number of units the price is for, such as 1000000 tokens.
    per: i32,
    /// Price in credits, or null when credits do not pay for it.
    credits: Option<Decimal>,
}

/// What a model price counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "catalog::PriceUnit")]
pub enum PriceUnit {
    /// Prompt token.
    InputToken,
    /// Prompt token read from the provider's cache.
    CachedInputToken,
    /// Prompt token written to the provider's cache.
    CacheWriteToken,
    /// Answer token.
    OutputToken,
    /// Reasoning token.
    ReasoningToken,
    /// Image of the standard size.
    Image,
    /// Character spoken.
    Character,
    /// Second of audio or video.
    Second,
}
