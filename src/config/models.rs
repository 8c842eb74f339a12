//! `default_model` and `[providers]`: where models are called. Which there are and what they cost stands in the
//! catalogue. The provider `echo` with the model `echo` is built in and needs no entry.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    faults::Refusal,
    reader::{Reader, Section},
    secrets::is_example,
    server::web_url,
};

/// Key of the built-in provider and of its only model.
pub const ECHO: &str = "echo";
const OPENAI_URL: &str = "https://api.openai.com/v1";

/// How a provider is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// The chat completions of OpenAI, which most others understand too.
    OpenaiCompatible,
}

/// `[providers.<key>]`
#[derive(Debug, Clone)]
pub struct Provider {
    pub kind: ProviderKind,
    /// Address that the paths of the protocol are added to.
    pub base_url: Url,
    /// `api_key`, else the variable that `api_key_env` names; without either, calls carry no credentials.
    pub api_key: Option<SecretString>,
}

/// Reads all providers.
pub(super) fn read_providers(reader: &mut Reader, is_dev: bool) -> BTreeMap<String, Provider> {
    let mut section = reader.section(&["providers"]);
    let mut providers = BTreeMap::new();
    for name in section.children() {
        if name == ECHO {
            section.refuse(&name, Refusal::new("is built in", "give this provider another key"));
        } else if key(&name).is_err() {
            section.refuse(&name, bad_key());
        }
        let provider = read_provider(&mut section.section(&name), &name, is_dev);
        providers.extend(provider.map(|provider| (name, provider)));
    }
    providers
}

/// Reads the model used when a client names none. Whether there is one of this name is for the catalogue to say.
pub(super) fn read_default_model(reader: &mut Reader) -> String {
    reader.section(&[]).text("default_model").unwrap_or_else(|| ECHO.to_owned())
}

/// `None` if something it cannot be without is missing or wrong, which is then among the faults.
fn read_provider(section: &mut Section<'_>, name: &str, is_dev: bool) -> Option<Provider> {
    let kind = section.parsed("kind", kind).unwrap_or(ProviderKind::OpenaiCompatible);
    let base_url = if name == "openai" {
        section.parsed("base_url", web_url).or_else(|| Url::parse(OPENAI_URL).ok())
    } else {
        let missing = Refusal::new("is missing", "set it to the address of the provider, up to and with /v1");
        section.required("base_url", missing, web_url)
    };
    let api_key = read_api_key(section, is_dev);
    Some(Provider { kind, base_url: base_url?, api_key })
}

fn read_api_key(section: &mut Section<'_>, is_dev: bool) -> Option<SecretString> {
    let direct = section.secret("api_key");
    let variable = section.text("api_key_env");
    let (name, found) = match (direct, variable) {
        (Some(secret), _) => ("api_key", Some(secret)),
        (None, Some(variable)) => ("api_key_env", section.variable(&variable).map(SecretString::from)),
        (None, None) => return None,
    };
    let Some(secret) = found else {
        let fix = "set that variable, or remove this if the provider needs no key";
        section.refuse(name, Refusal::new("names a variable that is not set", fix));
        return None;
    };
    if !is_dev && is_example(secret.expose_secret()) {
        section.refuse(name, Refusal::new("gives a known example", "use the key the provider issued to you"));
    }
    Some(secret)
}

fn kind(text: &str) -> Result<ProviderKind, Refusal> {
    match text {
        "openai_compatible" => Ok(ProviderKind::OpenaiCompatible),
        _ => Err(Refusal::new("is not a kind of provider", "set it to \"openai_compatible\"")),
    }
}

/// A name that is stored and shown, and that a variable can hold too.
fn key(text: &str) -> Result<String, Refusal> {
    let is_plain =
        text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    if is_plain && (1..=64).contains(&text.len()) { Ok(text.to_owned()) } else { Err(bad_key()) }
}

fn bad_key() -> Refusal {
    Refusal::new("is not a plain key", "use 1 to 64 of: a to z, 0 to 9, - and _")
}
