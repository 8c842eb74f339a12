//! Plans and models in the API.

use std::sync::Arc;

use async_graphql::{Context, Enum, Object, Result, SimpleObject};

use crate::{
    domains::{
        accounts::graphql::AccountRef,
        catalog::{self, Catalog, PlanRow},
        credits::Credits,
    },
    graphql::{
        ContextExt,
        access::{AccessLevel, Declared, access},
        null_boundary::semantic_non_null,
        scalars::Decimal,
    },
    platform::ids::Id,
};

/// Offer in the catalogue; the server knows limits and features, never plan names.
#[derive(Clone)]
pub struct Plan(pub PlanRow);

/// Offer in the catalogue; the server knows limits and features, never plan names.
#[Object]
impl Plan {
    /// Id with the prefix `pln_`.
    pub async fn id(&self) -> Id<PlanRow> {
        self.0.id.into()
    }

    /// Stable short name, such as `pro`.
    async fn key(&self) -> &str {
        &self.0.key
    }

    /// Name for people, such as `Pro`.
    async fn name(&self) -> &str {
        &self.0.name
    }
}

/// The plan of an account.
#[derive(Clone)]
pub struct AccountPlan(pub AccountRef);

#[Object]
impl AccountPlan {
    /// Plan in force.
    #[graphql(directive = semantic_non_null::apply(vec![0]))]
    async fn plan(&self, ctx: &Context<'_>) -> Option<Plan> {
        Some(Plan(ctx.handle::<Catalog>().default_plan().clone()))
    }
}

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
        let price = |unit: catalog::PriceUnit| ModelPrice {
            unit: unit.into(),
            per: 1_000_000,
            credits: Some(Credits(self.0.prices.of(unit)).into()),
        };
        catalog::PriceUnit::ALL.into_iter().map(price).collect()
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
    /// Answer token.
    OutputToken,
}

#[derive(Default)]
pub struct CatalogQuery;

#[Object(guard = "Declared")]
impl CatalogQuery {
    /// Models in the catalogue.
    #[graphql(directive = access::apply(AccessLevel::Public))]
    async fn models(&self, ctx: &Context<'_>) -> Result<Vec<Model>> {
        Ok(ctx.handle::<Catalog>().models().iter().cloned().map(Model).collect())
    }
}
