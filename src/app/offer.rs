//! What the configuration offers, in the words of the domains: plan, models, and settings that nobody has changed.

use crate::{
    config::{self, Config},
    domains::{
        catalog::{ModelDefinition, PlanDefinition, Prices},
        settings::BuiltIn,
    },
    providers::echo::Echo,
};

/// What settings are where nobody changed them.
pub fn built_in_settings(config: &Config) -> BuiltIn {
    BuiltIn {
        default_model: config.default_model.clone(),
        models: models(config).map(|model| model.key).collect(),
    }
}

/// The plan of every new account.
pub(super) fn plan(config: &Config) -> PlanDefinition {
    let plan = &config.plan;
    PlanDefinition {
        key: plan.key.clone(),
        name: plan.name.clone(),
        credits: plan.credits,
        min_output_tokens: plan.min_output_tokens,
    }
}

/// The built-in model and those of the configured providers.
pub(super) fn models(config: &Config) -> impl Iterator<Item = ModelDefinition> {
    let configured = config.providers.iter().flat_map(|(provider, settings)| {
        settings.models.iter().map(|(key, model)| ModelDefinition {
            key: key.clone(),
            name: model.name.clone(),
            provider: provider.clone(),
            upstream_name: model.upstream.clone(),
            context_tokens: model.context_tokens,
            max_output_tokens: model.max_output_tokens,
            prices: Prices {
                input: model.prices.input,
                cached_input: model.prices.cached_input.unwrap_or(model.prices.input),
                output: model.prices.output,
            },
            costs: [
                model.prices.cost_input_usd,
                model.prices.cost_cached_input_usd.or(model.prices.cost_input_usd),
                model.prices.cost_output_usd,
            ],
        })
    });
    std::iter::once(echo()).chain(configured)
}

/// The built-in model: 0.2 credits for a thousand tokens in, one for a thousand out, so that a short talk shows.
fn echo() -> ModelDefinition {
    ModelDefinition {
        key: config::ECHO.to_owned(),
        name: "Echo".to_owned(),
        provider: Echo::KEY.to_owned(),
        upstream_name: config::ECHO.to_owned(),
        context_tokens: 128_000,
        max_output_tokens: 10_000,
        prices: Prices { input: 200_000_000, cached_input: 200_000_000, output: 1_000_000_000 },
        costs: [Some(0); 3],
    }
}
