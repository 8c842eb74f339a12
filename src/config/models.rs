//! `[plan]`, `default_model` and `[providers]`: what users can call and what it costs. The provider `echo` with the
//! model `echo` is built in and needs no entry. No price, no call: a model without prices is refused.

use std::collections::{BTreeMap, btree_map};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    amounts::micro_units,
    faults::Refusal,
    reader::{Reader, Section, whole_in},
    secrets::is_example,
    server::web_url,
};

/// Key of the built-in provider and of its only model.
pub const ECHO: &str = "echo";
const OPENAI_URL: &str = "https://api.openai.com/v1";
/// In credits or US dollars per 1,000,000 tokens; far above any real price, and its products still fit.
const MAX_PRICE: i64 = 10_000_000;
const MAX_PLAN_CREDITS: i64 = 1_000_000_000;
const MAX_TOKENS: u32 = 100_000_000;

/// `[plan]`: the plan of every new account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultPlan {
    pub key: String,
    /// Name for people.
    pub name: String,
    /// Micro-credits granted at sign-up.
    pub credits: i64,
    /// A call that cannot pay for this many output tokens is refused.
    pub min_output_tokens: u32,
}

impl DefaultPlan {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let mut section = reader.section(&["plan"]);
        Self {
            key: section.parsed("key", key).unwrap_or_else(|| "default".to_owned()),
            name: section.text("name").unwrap_or_else(|| "Default".to_owned()),
            credits: section
                .parsed("credits", |text| micro_units(text, MAX_PLAN_CREDITS))
                .unwrap_or(100_000_000),
            min_output_tokens: section.whole("min_output_tokens", 64, 1..=1_000_000),
        }
    }
}

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
    /// By our key, which is unique among all providers.
    pub models: BTreeMap<String, Model>,
}

/// `[providers.<key>.models.<key>]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Name the provider knows it by; our key unless given.
    pub upstream: String,
    /// Name for people; our key unless given.
    pub name: String,
    pub context_tokens: u32,
    pub max_output_tokens: u32,
    pub prices: Prices,
}

/// `[providers.<key>.models.<key>.prices]`: in the file decimal credits (and dollars) per 1,000,000 tokens, here
/// micro-credits (and micro-dollars).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices {
    pub input: i64,
    pub output: i64,
    /// Price of input that the provider had cached; `None`: the price of input.
    pub cached_input: Option<i64>,
    /// What the provider charges us, when known; likewise the next two.
    pub cost_input_usd: Option<i64>,
    pub cost_output_usd: Option<i64>,
    pub cost_cached_input_usd: Option<i64>,
}

/// Reads all providers; the model keys are unique when nothing is refused.
pub(super) fn read_providers(reader: &mut Reader, is_dev: bool) -> BTreeMap<String, Provider> {
    let mut section = reader.section(&["providers"]);
    let mut owners = BTreeMap::from([(ECHO.to_owned(), ECHO.to_owned())]);
    let mut providers = BTreeMap::new();
    for name in section.children() {
        if name == ECHO {
            section.refuse(&name, Refusal::new("is built in", "give this provider another key"));
        } else if key(&name).is_err() {
            section.refuse(&name, bad_key());
        }
        let mut own = section.section(&name);
        let provider = read_provider(&mut own, &name, is_dev);
        refuse_taken_keys(&mut own.section("models"), &name, &mut owners);
        providers.extend(provider.map(|provider| (name, provider)));
    }
    providers
}

/// Reads the model used when a client names none.
pub(super) fn read_default_model(reader: &mut Reader) -> String {
    let mut keys = vec![ECHO.to_owned()];
    for provider in reader.section(&["providers"]).children() {
        keys.extend(reader.section(&["providers", &provider, "models"]).children());
    }
    let known = |text: &str| {
        let fix = "set it to the key of a model under [providers], or to echo";
        if keys.iter().any(|key| key == text) {
            Ok(text.to_owned())
        } else {
            Err(Refusal::new("names no model", fix))
        }
    };
    reader.section(&[]).parsed("default_model", known).unwrap_or_else(|| ECHO.to_owned())
}

/// `owners` maps the model keys seen so far to their providers: a client names a model by its key alone.
fn refuse_taken_keys(models: &mut Section<'_>, provider: &str, owners: &mut BTreeMap<String, String>) {
    for key in models.children() {
        match owners.entry(key.clone()) {
            btree_map::Entry::Vacant(free) => {
                free.insert(provider.to_owned());
            }
            btree_map::Entry::Occupied(owner) => {
                let why = format!("is already a model of the provider {:?}", owner.get());
                models.refuse(&key, Refusal::new(why, "give it another key, and its real name as upstream"));
            }
        }
    }
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
    let names = section.section("models").children();
    if names.is_empty() {
        let fix = "add one as [providers.<provider>.models.<model>] with its prices";
        section.refuse("models", Refusal::new("is missing: the provider has no models", fix));
    }
    let mut models = BTreeMap::new();
    for key in names {
        let model = read_model(&mut section.section("models").section(&key), &key);
        models.extend(model.map(|model| (key, model)));
    }
    Some(Provider { kind, base_url: base_url?, api_key, models })
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

fn read_model(section: &mut Section<'_>, key: &str) -> Option<Model> {
    let tokens = || Refusal::new("is missing", "set it to the number of tokens the provider states");
    let name_or_key = |name: Option<String>| name.unwrap_or_else(|| key.to_owned());
    let upstream = name_or_key(section.text("upstream"));
    let name = name_or_key(section.text("name"));
    let context_tokens = section.required("context_tokens", tokens(), whole_in(1..=MAX_TOKENS));
    let max_output_tokens = section.required("max_output_tokens", tokens(), whole_in(1..=MAX_TOKENS));
    if max_output_tokens > context_tokens && context_tokens.is_some() {
        let refusal = Refusal::new("is larger than the context", "keep it within context_tokens");
        section.refuse("max_output_tokens", refusal);
    }
    let prices = read_prices(&mut section.section("prices"));
    Some(Model {
        upstream,
        name,
        context_tokens: context_tokens?,
        max_output_tokens: max_output_tokens?,
        prices: prices?,
    })
}

fn read_prices(section: &mut Section<'_>) -> Option<Prices> {
    let missing = || {
        Refusal::new(
            "is missing: no price, no call",
            "set the credits per 1,000,000 tokens, such as \"0.15\"",
        )
    };
    let amount = |text: &str| micro_units(text, MAX_PRICE);
    let input = section.required("input", missing(), amount);
    let output = section.required("output", missing(), amount);
    let cached_input = section.parsed("cached_input", amount);
    let cost_input_usd = section.parsed("cost_input_usd", amount);
    let cost_output_usd = section.parsed("cost_output_usd", amount);
    let cost_cached_input_usd = section.parsed("cost_cached_input_usd", amount);
    let (input, output) = (input?, output?);
    Some(Prices { input, output, cached_input, cost_input_usd, cost_output_usd, cost_cached_input_usd })
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
