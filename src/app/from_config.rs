//! What the parts of the app take from the configuration.

use std::{sync::Arc, time::Duration};

use crate::{
    config::{self, Config},
    domains::{
        accounts::{SigningKey, TokenSettings},
        generations::{GenerationSettings, LogSettings},
    },
    graphql::admission::Admission,
    jobs::RunnerSettings,
    providers::{
        CallLimits,
        echo::{Echo, EchoSettings},
        openai_compatible::{OpenAiCompatible, OpenAiCompatibleSettings},
        registry::Registry,
    },
};

/// The keys that sign tokens.
pub fn keys(keys: &[config::SigningKey]) -> Vec<SigningKey> {
    keys.iter().map(|key| SigningKey { kid: key.kid.clone(), secret: key.secret.clone() }).collect()
}

pub fn token_settings(config: &Config) -> TokenSettings {
    let auth = &config.auth;
    TokenSettings {
        access: Duration::from_secs(auth.access_minutes * 60),
        refresh: Duration::from_secs(auth.refresh_days * 24 * 3600),
        session: Duration::from_secs(auth.session_days * 24 * 3600),
        grace: Duration::from_secs(auth.refresh_grace_seconds),
    }
}

pub fn generation_settings(config: &Config) -> GenerationSettings {
    let streams = &config.streams;
    GenerationSettings {
        log: LogSettings {
            flush: Duration::from_millis(streams.flush_ms),
            lease: Duration::from_millis(streams.lease_ms),
        },
        limit: Duration::from_secs(streams.max_generation_seconds),
        // A slot of the log stays for three turns of the ring, so the beginning of a running answer is always there.
        retention: Duration::from_secs((streams.retention_minutes * 60).max(streams.max_generation_seconds)),
    }
}

pub fn runner_settings(config: &Config) -> RunnerSettings {
    RunnerSettings {
        concurrency: config.jobs.concurrency,
        account_share: config.jobs.account_share,
        lease: Duration::from_millis(config.streams.lease_ms),
    }
}

pub fn admission(config: &Config) -> Admission {
    Admission {
        introspection: config.graphql.introspection.into(),
        operation_cost: config.limits.operation_cost,
    }
}

pub fn providers(config: &Config) -> anyhow::Result<Registry> {
    // The engine ends an answer that takes too long; a provider's own limit is only its second line.
    let total = Duration::from_secs(config.streams.max_generation_seconds + 30);
    let limits = CallLimits { total, ..CallLimits::default() };
    let mut registry = Registry::default();
    registry.insert(Arc::new(Echo::new(EchoSettings { limits, ..EchoSettings::default() })))?;
    for (key, provider) in &config.providers {
        let config::ProviderKind::OpenaiCompatible = provider.kind;
        registry.insert(Arc::new(OpenAiCompatible::try_new(provider_settings(key, provider, limits))?))?;
    }
    Ok(registry)
}

/// How to reach a configured provider.
pub fn provider_settings(
    key: &str,
    provider: &config::Provider,
    limits: CallLimits,
) -> OpenAiCompatibleSettings {
    OpenAiCompatibleSettings {
        key: key.to_owned(),
        base_url: provider.base_url.clone(),
        api_key: provider.api_key.clone(),
        output_cap_field: None,
        limits,
    }
}
