//! The catalogue beside the configuration: is there a provider for every model, and a model for whoever names none?

use super::Finding;
use crate::{
    config::{Config, ECHO},
    domains::catalog::{CatalogContent, CatalogRow, PriceList, PriceUnit},
};

/// Adds what there is to say of the catalogue in force, and reads it.
pub(super) fn describe(row: Option<&CatalogRow>, findings: &mut Vec<Finding>) -> Option<CatalogContent> {
    let what = "catalogue";
    let Some(row) = row else {
        findings.push(Finding::ok(what, "none yet; the first start applies the preset default"));
        return None;
    };
    match row.content() {
        Ok(content) => {
            let (plans, models) = (content.plans.len(), content.models.len());
            let reason = format!(
                "version {} from {}, with {plans} plans, {models} models and echo",
                row.version, row.source
            );
            findings.push(Finding::ok(what, reason));
            Some(content)
        }
        Err(error) => {
            let fix = "apply it again with this version of the program";
            findings.push(Finding::fail(what, error.chain(), fix));
            None
        }
    }
}

/// What this configuration makes of the catalogue.
pub(super) fn check(config: &Config, content: &CatalogContent) -> Vec<Finding> {
    let mut findings = vec![models(config, content)];
    findings.extend(unserved(config, content));
    findings.extend(free_models(content));
    findings
}

fn models(config: &Config, content: &CatalogContent) -> Finding {
    let what = "models";
    let served =
        content.models.values().filter(|model| config.providers.contains_key(&model.provider)).count();
    let default = &config.default_model;
    let is_served =
        content.models.get(default).is_some_and(|model| config.providers.contains_key(&model.provider));
    let (reason, fix) = match served {
        0 => (
            "only the built-in echo answers, which is no language model".to_owned(),
            "add a provider, such as [providers.openai], and models of it to the catalogue",
        ),
        _ if default == ECHO => (
            "clients that name no model get the built-in echo".to_owned(),
            "set default_model to one of yours",
        ),
        _ if !is_served => (
            format!(
                "default_model is {default}, which is not served here; the built-in echo answers instead"
            ),
            "set default_model to the key of a model whose provider is configured",
        ),
        count => return Finding::ok(what, format!("{count} and echo; default is {default}")),
    };
    Finding::warn(what, reason, fix)
}

fn unserved(config: &Config, content: &CatalogContent) -> Option<Finding> {
    let missing = content.unserved(|provider| config.providers.contains_key(provider));
    (!missing.is_empty()).then(|| {
        let reason = format!("not shown and not called, for want of their providers: {}", missing.join(", "));
        Finding::warn("providers of models", reason, "configure those providers, or take the models out")
    })
}

/// Every model has prices, or the catalogue would have been refused; they may be nothing.
fn free_models(content: &CatalogContent) -> Option<Finding> {
    let is_free = |unit| move |list: &PriceList| list.units.get(&unit).is_none_or(|price| price.credits == 0);
    let free: Vec<&str> = content
        .models
        .iter()
        .filter(|(_, model)| {
            model.prices.iter().all(is_free(PriceUnit::InputToken))
                && model.prices.iter().all(is_free(PriceUnit::OutputToken))
        })
        .map(|(key, _)| key.as_str())
        .collect();
    (!free.is_empty()).then(|| {
        let reason = format!("free for everybody: {}", free.join(", "));
        Finding::warn("prices", reason, "set input and output of their prices, unless that is meant")
    })
}
