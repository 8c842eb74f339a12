//! The sources laid over each other: every value that was given, by key, with where it came from. Later layers win:
//! fallback variables, file, usual variables, `LOQUENT_<SECTION>__<KEY>` variables, flags. A variable that is set to
//! nothing counts as unset. Values stay text here; `reader` gives them types.

use std::{collections::BTreeMap, fmt};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    faults::{ConfigFaults, Fault},
    sources::{CONFIG_VARIABLE, ConfigFile, Flags, Sources},
};

const PREFIX: &str = "LOQUENT_";

/// Variables with a name of their own. Those of a provider count only if that provider is configured, because they
/// are often set for other programs.
pub(crate) const USUAL_VARIABLES: [(&str, &[&str]); 10] = [
    ("PORT", &["server", "port"]),
    ("DATABASE_URL", &["database", "url"]),
    ("RUST_LOG", &["log", "filter"]),
    ("OPENAI_API_KEY", &["providers", "openai", "api_key"]),
    ("OPENAI_BASE_URL", &["providers", "openai", "base_url"]),
    ("LOQUENT_DATA_DIR", &["database", "data_dir"]),
    ("LOQUENT_CACHE_DIR", &["database", "cache_dir"]),
    ("LOQUENT_PG_BIN", &["database", "pg_bin"]),
    ("LOQUENT_PG_DOWNLOAD", &["database", "download"]),
    ("LOQUENT_NPM_REGISTRY", &["database", "npm_registry"]),
];

/// Path of a setting, section by section. A segment may hold dots, as model names do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) Vec<String>);

impl Key {
    pub(crate) fn new(segments: &[&str]) -> Self {
        Self(segments.iter().map(|segment| (*segment).to_owned()).collect())
    }

    pub(crate) fn child(&self, name: &str) -> Self {
        Self(self.0.iter().cloned().chain([name.to_owned()]).collect())
    }

    /// Name of the variable that sets this key.
    pub(crate) fn variable(&self) -> String {
        format!("{PREFIX}{}", self.0.join("__").to_uppercase())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            let dot = if position == 0 { "" } else { "." };
            let is_bare = segment.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
            if is_bare && !segment.is_empty() {
                write!(f, "{dot}{segment}")?;
            } else {
                write!(f, "{dot}{segment:?}")?;
            }
        }
        Ok(())
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    File { path: String, line: usize },
    Variable(String),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{path} line {line}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One value as it was written. No `Debug`: the text may be a secret.
pub(crate) struct Entry {
    pub(crate) text: String,
    pub(crate) origin: Origin,
    /// Whether this is an empty section or another shape that is no single value.
    pub(crate) is_section: bool,
}

pub(crate) type Entries = BTreeMap<Key, Entry>;

/// Merges all sources; fails only if the file is not TOML, because then nothing else it says can be trusted.
pub(crate) fn merge(sources: &Sources) -> Result<Entries, ConfigFaults> {
    let read = |file| read_file(file, Lists::OfValues);
    let file = sources.file.as_ref().map(read).transpose()?.unwrap_or_default();
    let prefixed = prefixed_variables(&sources.env);
    let usual = usual_variables(&sources.env, |provider| {
        file.keys().chain(prefixed.keys()).any(|key| key.0.starts_with(&Key::new(provider).0))
    });
    let mut entries = fallback_variables(&sources.env);
    for layer in [file, usual, prefixed, flags(&sources.flags)] {
        entries.extend(layer);
    }
    Ok(entries)
}

/// What a list may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lists {
    /// Values, as a variable can hold them too.
    OfValues,
    /// Also sections, which become the beginnings of keys by their number from 1.
    OfSections,
}

/// What one file says; fails only if it is not TOML.
pub(crate) fn read_file(file: &ConfigFile, lists: Lists) -> Result<Entries, ConfigFaults> {
    let (table, errors) = DeTable::parse_recoverable(&file.text);
    let line_at = |offset: usize| 1 + file.text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    if !errors.is_empty() {
        // The error's own display quotes the line, which may hold a secret: only its message and place are shown.
        let faults = errors.iter().map(|error| Fault {
            key: file.path.clone(),
            origin: error.span().map(|span| format!("line {}", line_at(span.start))),
            why: format!("is not valid TOML: {}", error.message()),
            fix: "correct the syntax of this line".to_owned(),
        });
        return Err(ConfigFaults(faults.collect()));
    }
    let mut entries = Entries::new();
    let origin = |offset| Origin::File { path: file.path.clone(), line: line_at(offset) };
    flatten(table.get_ref(), &Key(Vec::new()), &origin, lists, &mut entries);
    Ok(entries)
}

/// Sections become the beginnings of keys.
fn flatten(
    table: &DeTable<'_>,
    parent: &Key,
    origin: &impl Fn(usize) -> Origin,
    lists: Lists,
    entries: &mut Entries,
) {
    for (name, value) in table {
        let key = parent.child(name.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => flatten(inner, &key, origin, lists, entries),
            DeValue::Array(items) if lists == Lists::OfSections && is_of_sections(items) => {
                for (number, item) in (1..).zip(items) {
                    if let DeValue::Table(inner) = item.get_ref() {
                        flatten(inner, &key.child(&format!("{number}")), origin, lists, entries);
                    }
                }
            }
            shape => {
                let text = written(shape);
                let is_section = text.is_none();
                let origin = origin(name.span().start);
                entries.insert(key, Entry { text: text.unwrap_or_default(), origin, is_section });
            }
        }
    }
}

fn is_of_sections(items: &[Spanned<DeValue<'_>>]) -> bool {
    let is_section =
        |item: &Spanned<DeValue<'_>>| matches!(item.get_ref(), DeValue::Table(inner) if !inner.is_empty());
    !items.is_empty() && items.iter().all(is_section)
}

/// A value as text; numbers keep the digits of the file, so that no amount passes through a float. Lists of such
/// values are joined by commas, as in a variable; `None` is a shape that no setting has.
fn written(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(items) => {
            items.iter().map(item_text).collect::<Option<Vec<_>>>().map(|items| items.join(","))
        }
        DeValue::Table(_) => None,
    }
}

fn item_text(item: &Spanned<DeValue<'_>>) -> Option<String> {
    match item.get_ref() {
        DeValue::Array(_) => None,
        scalar => written(scalar),
    }
}

fn variable(name: &str, text: &str) -> Option<Entry> {
    let is_set = !text.trim().is_empty();
    is_set.then(|| Entry {
        text: text.to_owned(),
        origin: Origin::Variable(name.to_owned()),
        is_section: false,
    })
}

fn prefixed_variables(env: &BTreeMap<String, String>) -> Entries {
    env.iter()
        .filter(|(name, _)| {
            let has_own_name = USUAL_VARIABLES.iter().any(|(usual, _)| usual == name);
            !has_own_name && *name != CONFIG_VARIABLE
        })
        .filter_map(|(name, text)| {
            let path = name.strip_prefix(PREFIX)?;
            let key = Key(path.split("__").map(str::to_lowercase).collect());
            Some((key, variable(name, text)?))
        })
        .collect()
}

fn usual_variables(env: &BTreeMap<String, String>, is_configured: impl Fn(&[&str]) -> bool) -> Entries {
    USUAL_VARIABLES
        .iter()
        .filter(|(_, path)| path.len() < 3 || path.get(..2).is_some_and(&is_configured))
        .filter_map(|(name, path)| Some((Key::new(path), variable(name, env.get(*name)?)?)))
        .chain(no_color(env))
        .collect()
}

/// <https://no-color.org>: any value but the empty one asks for no colours.
fn no_color(env: &BTreeMap<String, String>) -> Option<(Key, Entry)> {
    let entry = variable("NO_COLOR", env.get("NO_COLOR")?)?;
    Some((Key::new(&["log", "color"]), Entry { text: "false".to_owned(), ..entry }))
}

/// Variables of other programs that are better than nothing, so that even the file wins over them.
fn fallback_variables(env: &BTreeMap<String, String>) -> Entries {
    let name = "npm_config_registry";
    let entry = env.get(name).and_then(|text| variable(name, text));
    entry.map(|entry| (Key::new(&["database", "npm_registry"]), entry)).into_iter().collect()
}

fn flags(flags: &Flags) -> Entries {
    let given = [
        ("--host", "host", flags.host.map(|host| host.to_string())),
        ("--port", "port", flags.port.map(|port| port.to_string())),
        ("--allow-remote-dev", "allow_remote_dev", flags.is_remote_dev_allowed.then(|| "true".to_owned())),
    ];
    given
        .into_iter()
        .filter_map(|(flag, name, text)| {
            let entry = Entry { text: text?, origin: Origin::Flag(flag), is_section: false };
            Some((Key::new(&["server", name]), entry))
        })
        .collect()
}
