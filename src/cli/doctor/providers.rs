//! The model providers: can they be reached, do they take the key, and have they the models? Asked for their list of
//! models, which costs nothing.

use std::time::Duration;

use futures_util::future::join_all;

use super::Finding;
use crate::{
    app::provider_settings,
    config::{Config, Provider},
    domains::catalog::CatalogContent,
    platform::clock::Clock,
    providers::{
        CallLimits,
        openai_compatible::{OpenAiCompatible, Probe},
    },
};

/// For one provider.
const LIMIT: Duration = Duration::from_secs(10);

/// The `Date` of an answer has whole seconds and is as old as its way.
const MAX_SKEW: Duration = Duration::from_secs(30);

/// Which models to look for stands in the catalogue, when there is one.
pub(super) async fn check(
    config: &Config,
    catalogue: Option<&CatalogContent>,
    clock: &Clock,
) -> Vec<Finding> {
    let upstream = |key: &str| {
        let models = catalogue.into_iter().flat_map(|content| content.models.values());
        models.filter(|model| model.provider == key).map(|model| model.upstream.clone()).collect::<Vec<_>>()
    };
    let asked = config.providers.iter().map(|(key, provider)| ask(key, provider, upstream(key), clock));
    join_all(asked).await
}

async fn ask(key: &str, provider: &Provider, models: Vec<String>, clock: &Clock) -> Finding {
    let what = format!("provider {key}");
    let limits = CallLimits { total: LIMIT, response_head: LIMIT, ..CallLimits::default() };
    let client = match OpenAiCompatible::try_new(provider_settings(key, provider, limits)) {
        Ok(client) => client,
        Err(error) => return Finding::fail(what, error.to_string(), "correct its settings"),
    };
    match client.probe().await {
        Ok(probe) => judge(what, provider, &models, &probe, clock),
        Err(error) => {
            let detail = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            Finding::fail(
                what,
                format!("cannot be reached: {detail}"),
                "check base_url and the way out of this machine",
            )
        }
    }
}

fn judge(what: String, provider: &Provider, models: &[String], probe: &Probe, clock: &Clock) -> Finding {
    let has_key = provider.api_key.is_some();
    let status = probe.status;
    let skew = probe.date.map(|date| (date - clock.now()).abs().to_std().unwrap_or_default());
    match status {
        401 | 403 if has_key => {
            Finding::fail(what, format!("refuses the key (HTTP {status})"), "set a valid api_key")
        }
        401 | 403 => {
            Finding::fail(what, format!("wants a key (HTTP {status})"), "set its api_key or api_key_env")
        }
        404 | 405 => Finding::warn(
            what,
            format!("answers, but lists no models (HTTP {status}), so the key was not tried"),
            "check that base_url ends where the paths of the API begin, such as /v1",
        ),
        429 => Finding::warn(
            what,
            "answers that there were too many calls (HTTP 429)",
            "look at its limits and your account",
        ),
        200..=299 if probe.models.is_none() => Finding::fail(
            what,
            "no OpenAI-compatible API at this address: the answer is no list of models (a page in HTML?)",
            "check that base_url ends where the paths of the API begin, such as /v1",
        ),
        200..=299 => match (missing(models, probe), skew) {
            (missing, _) if !missing.is_empty() => Finding::warn(
                what,
                format!("does not list {}", missing.join(", ")),
                "correct the upstream of these models, or see whether the key may use them",
            ),
            (_, Some(skew)) if skew > MAX_SKEW => Finding::warn(
                what,
                format!("takes the key; its clock is {} s apart from ours", skew.as_secs()),
                "let this machine take its time by NTP",
            ),
            _ => Finding::ok(what, if has_key { "takes the key" } else { "answers without a key" }),
        },
        _ => {
            Finding::fail(what, format!("answers HTTP {status}"), "look at its status page, and at base_url")
        }
    }
}

/// The names of models of the catalogue that the list does not have.
fn missing<'a>(models: &'a [String], probe: &Probe) -> Vec<&'a str> {
    models.iter().map(String::as_str).filter(|name| !probe.lists(name)).collect()
}
