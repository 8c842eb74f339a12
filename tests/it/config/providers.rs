use loquent::config::{Flags, ProviderKind};
use secrecy::ExposeSecret;

use super::{KEY, dev, fault, loaded};

fn openai(rest: &str) -> String {
    format!("[providers.openai]\n{rest}\n")
}

#[test]
fn a_provider_that_is_known_needs_no_address() {
    let config = loaded(dev(), "[providers.openai]", &[]);
    let provider = &config.providers["openai"];
    assert_eq!(provider.kind, ProviderKind::OpenaiCompatible);
    assert_eq!(provider.base_url.as_str(), "https://api.openai.com/v1");
    assert!(provider.api_key.is_none());
}

#[test]
fn variables_reach_providers_and_the_usual_ones_only_configured_ones() {
    let usual = [("OPENAI_API_KEY", "sk-1"), ("OPENAI_BASE_URL", "https://proxy.test/v1")];
    assert!(loaded(dev(), "", &usual).providers.is_empty());
    let config = loaded(dev(), &openai(""), &usual);
    let provider = &config.providers["openai"];
    assert_eq!(provider.base_url.as_str(), "https://proxy.test/v1");
    assert_eq!(provider.api_key.as_ref().map(|key| key.expose_secret()), Some("sk-1"));
    let own = [usual[0], ("LOQUENT_PROVIDERS__OPENAI__API_KEY", "sk-2")];
    let key = loaded(dev(), &openai(""), &own).providers["openai"].api_key.clone();
    assert_eq!(key.as_ref().map(|key| key.expose_secret()), Some("sk-2"));
}

#[test]
fn a_key_can_be_the_name_of_a_variable_that_must_then_be_set() {
    let file = openai("api_key_env = \"MY_KEY\"");
    let key = loaded(dev(), &file, &[("MY_KEY", "sk-3\n")]).providers["openai"].api_key.clone();
    assert_eq!(key.as_ref().map(|key| key.expose_secret()), Some("sk-3"));
    assert_eq!(fault(dev(), &file, &[]).key, "providers.openai.api_key_env");
}

#[test]
fn example_keys_of_providers_stop_production() {
    let keys = format!("main:{KEY}");
    let env = [("LOQUENT_AUTH__SIGNING_KEYS", keys.as_str()), ("OPENAI_API_KEY", "your-api-key-here")];
    let found = fault(Flags::default(), &openai(""), &env);
    let origin = found.origin.as_deref();
    assert_eq!((found.key.as_str(), origin), ("providers.openai.api_key", Some("variable OPENAI_API_KEY")));
}

#[test]
fn a_provider_is_whole_or_refused() {
    let table = [
        ("[providers.echo]\nbase_url = \"http://e.test\"", "providers.echo"),
        ("[providers.\"a b\"]\nbase_url = \"http://e.test\"", "providers.\"a b\""),
        ("[providers.a]\nkind = \"openai_compatible\"", "providers.a.base_url"),
        ("[providers.openai]\nkind = \"soap\"", "providers.openai.kind"),
        ("[providers.openai.models.m]\nseed = 1", "providers.openai.models.m.seed"),
    ];
    for (file, key) in table {
        assert_eq!(fault(dev(), file, &[]).key, key, "{file}");
    }
}

#[test]
fn the_default_model_is_a_name_that_the_catalogue_judges() {
    assert_eq!(loaded(dev(), "default_model = \"gpt-4.1\"", &[]).default_model, "gpt-4.1");
    assert_eq!(fault(dev(), "default_model = \"\"", &[]).key, "default_model");
}
