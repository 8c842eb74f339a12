use loquent::config::{Flags, Model, Prices, ProviderKind};
use secrecy::ExposeSecret;

use super::{KEY, dev, fault, faults, loaded};

const MODEL: &str =
    "context_tokens = 1000\nmax_output_tokens = 100\nprices = { input = \"0.15\", output = 0.6 }\n";

fn openai(rest: &str) -> String {
    format!("[providers.openai]\n{rest}\n[providers.openai.models.\"gpt-4.1\"]\n{MODEL}")
}

#[test]
fn a_model_gets_exact_prices_and_its_key_for_a_name() {
    let config = loaded(dev(), &openai(""), &[]);
    let provider = &config.providers["openai"];
    assert_eq!(provider.kind, ProviderKind::OpenaiCompatible);
    assert_eq!(provider.base_url.as_str(), "https://api.openai.com/v1");
    let model = Model {
        upstream: "gpt-4.1".to_owned(),
        name: "gpt-4.1".to_owned(),
        context_tokens: 1000,
        max_output_tokens: 100,
        prices: Prices {
            input: 150_000,
            output: 600_000,
            cached_input: None,
            cost_input_usd: None,
            cost_output_usd: None,
            cost_cached_input_usd: None,
        },
    };
    assert_eq!(provider.models["gpt-4.1"], model);
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
fn without_a_price_there_is_no_model() {
    let file = "[providers.openai.models.m]\ncontext_tokens = 10\nmax_output_tokens = 1";
    let found = faults(dev(), file, &[]);
    let keys: Vec<_> = found.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["providers.openai.models.m.prices.input", "providers.openai.models.m.prices.output"]);
    assert!(found.iter().all(|fault| fault.why.contains("no price, no call")));
}

#[test]
fn prices_are_bounded() {
    for price in ["-1", "10000000.000001", "0.0000001", "1e2"] {
        let file = format!("[providers.openai.models.m]\n{}", MODEL.replace("0.6", &format!("\"{price}\"")));
        assert_eq!(fault(dev(), &file, &[]).key, "providers.openai.models.m.prices.output", "{price}");
    }
}

#[test]
fn two_models_never_share_a_key() {
    let other = format!(
        "[providers.other]\nbase_url = \"http://o.test/v1\"\n[providers.other.models.\"gpt-4.1\"]\n{MODEL}"
    );
    let found = fault(dev(), &format!("{}{other}", openai("")), &[]);
    assert_eq!(found.key, "providers.other.models.\"gpt-4.1\"");
    assert!(found.why.contains("\"openai\""), "{}", found.why);
    let echo = format!("[providers.openai.models.echo]\n{MODEL}");
    assert_eq!(fault(dev(), &echo, &[]).key, "providers.openai.models.echo");
}

#[test]
fn a_provider_is_whole_or_refused() {
    let table = [
        (
            "[providers.echo]\nbase_url = \"http://e.test\"\n[providers.echo.models.m]\nMODEL",
            "providers.echo",
        ),
        (
            "[providers.\"a b\"]\nbase_url = \"http://e.test\"\n[providers.\"a b\".models.m]\nMODEL",
            "providers.\"a b\"",
        ),
        ("[providers.a.models.m]\nMODEL", "providers.a.base_url"),
        ("[providers.a]\nbase_url = \"http://e.test\"", "providers.a.models"),
        ("[providers.openai]\n", "providers.openai.models"),
        ("[providers.openai]\nkind = \"soap\"\n[providers.openai.models.m]\nMODEL", "providers.openai.kind"),
        ("[providers.openai.models.m]\nMODEL\nseed = 1", "providers.openai.models.m.seed"),
    ];
    for (file, key) in table {
        assert_eq!(fault(dev(), &file.replace("MODEL", MODEL), &[]).key, key, "{file}");
    }
}

#[test]
fn a_dot_without_quotes_is_explained() {
    let found = faults(dev(), &format!("[providers.openai.models.gpt-4.1]\n{MODEL}"), &[]);
    assert!(found.iter().any(|fault| fault.fix.contains("quotes")), "{found:?}");
}

#[test]
fn the_default_model_must_exist() {
    let file = format!("default_model = \"gpt-4.1\"\n{}", openai(""));
    assert_eq!(loaded(dev(), &file, &[]).default_model, "gpt-4.1");
    assert_eq!(fault(dev(), "default_model = \"gpt-4.1\"", &[]).key, "default_model");
    // A model that is refused for another reason is not reported twice.
    let unpriced =
        "default_model = \"m\"\n[providers.openai.models.m]\ncontext_tokens = 10\nmax_output_tokens = 1";
    assert!(faults(dev(), unpriced, &[]).iter().all(|fault| fault.key != "default_model"));
}

#[test]
fn output_fits_into_the_context() {
    let file = format!("[providers.openai.models.m]\n{}", MODEL.replace("= 100\n", "= 1001\n"));
    assert_eq!(fault(dev(), &file, &[]).key, "providers.openai.models.m.max_output_tokens");
}
