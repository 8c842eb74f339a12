//! The settings that there are.

use chrono::{DateTime, Utc};
use diesel::{pg::Pg, prelude::*};
use serde_json::Value;

use crate::schema::settings;

/// All settings as the code reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// Whether people may join by themselves.
    pub is_sign_up_open: bool,
    /// Key of the model of those who name none.
    pub default_model: String,
    /// Key of the model that makes titles; `None` for that of each conversation.
    pub title_model: Option<String>,
    /// Whether models make titles.
    pub is_titling: bool,
    /// Most credits that one administrator alone gives or takes at a time.
    pub credit_adjustment_bound: i64,
}

/// What the configuration says where nothing is stored, and what a value can be checked against.
#[derive(Debug, Clone)]
pub struct BuiltIn {
    pub default_model: String,
    /// Keys of the models that can be called, which change with the catalogue.
    pub models: Vec<String>,
}

/// One setting.
pub struct Definition {
    /// Name, such as `chat.default_model`.
    pub key: &'static str,
    /// Group it is shown in.
    pub category: &'static str,
    /// What it does.
    pub description: &'static str,
    /// Whether everybody may read it.
    pub is_public: bool,
    show: fn(&Values) -> Value,
    /// Changes nothing when the value cannot be; `Err` says what it has to be.
    take: fn(&mut Values, &Value, &BuiltIn) -> Result<(), String>,
}

/// Every setting, by key.
pub const DEFINITIONS: [Definition; 5] = [
    Definition {
        key: "accounts.sign_up_open",
        category: "accounts",
        description: "Whether people may join by themselves; true or false.",
        is_public: true,
        show: |values| Value::from(values.is_sign_up_open),
        take: |values, value, _| {
            values.is_sign_up_open = value.as_bool().ok_or("It is true or false.")?;
            Ok(())
        },
    },
    Definition {
        key: "chat.default_model",
        category: "chat",
        description: "Key of the model that answers those who name none.",
        is_public: true,
        show: |values| Value::from(values.default_model.as_str()),
        take: |values, value, built_in| {
            let known = built_in.models.iter().find(|model| value.as_str() == Some(model));
            let models = || format!("It is the key of a model: {}.", built_in.models.join(", "));
            values.default_model.clone_from(known.ok_or_else(models)?);
            Ok(())
        },
    },
    Definition {
        key: "chat.title_model",
        category: "chat",
        description: "Key of the model that makes titles; null for the one that answers in the conversation.",
        is_public: false,
        show: |values| Value::from(values.title_model.as_deref()),
        take: |values, value, built_in| {
            let known = built_in.models.iter().find(|model| value.as_str() == Some(model));
            let models = || format!("It is null or the key of a model: {}.", built_in.models.join(", "));
            values.title_model = match value {
                Value::Null => None,
                _ => Some(known.ok_or_else(models)?.clone()),
            };
            Ok(())
        },
    },
    Definition {
        key: "chat.titles",
        category: "chat",
        description: "Whether a model makes titles, which the account pays like answers; true or false.",
        is_public: false,
        show: |values| Value::from(values.is_titling),
        take: |values, value, _| {
            values.is_titling = value.as_bool().ok_or("It is true or false.")?;
            Ok(())
        },
    },
    Definition {
        key: "credits.adjustment_bound",
        category: "credits",
        description: "Most credits that one administrator alone gives or takes at a time; commands have no bound.",
        is_public: false,
        show: |values| Value::from(values.credit_adjustment_bound),
        take: |values, value, _| {
            let bound = value.as_i64().filter(|bound| (0..=1_000_000_000).contains(bound));
            values.credit_adjustment_bound = bound.ok_or("It is a whole number from 0 to 1000000000.")?;
            Ok(())
        },
    },
];

impl Definition {
    /// The setting of this name.
    pub fn find(key: &str) -> Option<&'static Self> {
        const ALL: &[Definition] = &DEFINITIONS;
        ALL.iter().find(|definition| definition.key == key)
    }

    /// A value as people write it: JSON, or the bare words of a text. `Err` says what it has to be.
    pub fn parse(&self, words: &str, built_in: &BuiltIn) -> Result<Value, String> {
        let text = Value::from(words);
        let json = serde_json::from_str(words).ok();
        let is_fine = |value: &Value| (self.take)(&mut Values::of(built_in), value, built_in);
        match json.filter(|value| is_fine(value).is_ok()) {
            Some(value) => Ok(value),
            None => is_fine(&text).map(|()| text),
        }
    }
}

impl Values {
    fn of(built_in: &BuiltIn) -> Self {
        Self {
            is_sign_up_open: true,
            default_model: built_in.default_model.clone(),
            credit_adjustment_bound: 10_000,
            title_model: None,
            is_titling: false,
        }
    }
}

/// What is stored of one setting.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = settings, check_for_backend(Pg))]
pub struct SettingRow {
    pub key: String,
    pub value: Value,
    pub updated_at: DateTime<Utc>,
}

/// A setting with its value.
#[derive(Clone)]
pub struct Setting {
    pub definition: &'static Definition,
    pub value: Value,
    /// Last change, or `None` for the built-in value.
    pub updated_at: Option<DateTime<Utc>>,
}

/// All settings at one moment.
pub(super) struct Snapshot {
    pub(super) values: Values,
    /// By key.
    pub(super) all: Vec<Setting>,
}

impl Snapshot {
    /// Lays what is stored over what is built in; returns the keys that could not be taken too.
    pub(super) fn new(rows: &[SettingRow], built_in: &BuiltIn) -> (Self, Vec<&'static str>) {
        const ALL: &[Definition] = &DEFINITIONS;
        let (mut values, mut refused) = (Values::of(built_in), Vec::new());
        let mut changes = Vec::new();
        for definition in ALL {
            let row = rows.iter().find(|row| row.key == definition.key);
            let taken = row.map(|row| (definition.take)(&mut values, &row.value, built_in));
            if matches!(taken, Some(Err(_))) {
                refused.push(definition.key);
            }
            changes.push(row.filter(|_| matches!(taken, Some(Ok(())))).map(|row| row.updated_at));
        }
        let all = ALL.iter().zip(changes).map(|(definition, updated_at)| Setting {
            definition,
            value: (definition.show)(&values),
            updated_at,
        });
        let all = all.collect();
        (Self { values, all }, refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_in() -> BuiltIn {
        BuiltIn { default_model: "echo".to_owned(), models: vec!["echo".to_owned(), "7".to_owned()] }
    }

    fn row(key: &str, value: Value) -> SettingRow {
        SettingRow { key: key.to_owned(), value, updated_at: DateTime::<Utc>::UNIX_EPOCH }
    }

    #[test]
    fn keys_are_sorted_and_begin_with_their_category() {
        assert!(DEFINITIONS.is_sorted_by_key(|definition| definition.key));
        for definition in DEFINITIONS {
            assert!(definition.key.starts_with(&format!("{}.", definition.category)), "{}", definition.key);
            assert!(definition.description.ends_with('.') && definition.key.len() <= 100);
        }
    }

    #[test]
    fn values_are_json_or_bare_words() {
        let parse = |key, words| Definition::find(key).unwrap().parse(words, &built_in());
        assert_eq!(parse("accounts.sign_up_open", "false"), Ok(Value::from(false)));
        assert!(parse("accounts.sign_up_open", "no").is_err());
        for (words, key) in [("echo", "echo"), ("\"echo\"", "echo"), ("7", "7")] {
            assert_eq!(parse("chat.default_model", words), Ok(Value::from(key)), "{words}");
        }
        assert!(parse("chat.default_model", "gone").unwrap_err().contains("echo"));
        assert_eq!(parse("chat.title_model", "null"), Ok(Value::Null));
        assert_eq!(parse("chat.title_model", "echo"), Ok(Value::from("echo")));
        assert!(parse("chat.title_model", "gone").unwrap_err().contains("echo"));
        assert!(Definition::find("chat").is_none());
    }

    #[test]
    fn what_cannot_be_taken_counts_as_not_stored() {
        let rows = [
            row("accounts.sign_up_open", Value::from(false)),
            row("chat.default_model", Value::from("gone")),
            row("of.a_newer_version", Value::from(1)),
        ];
        let (snapshot, refused) = Snapshot::new(&rows, &built_in());
        let expected = Values {
            is_sign_up_open: false,
            default_model: "echo".to_owned(),
            credit_adjustment_bound: 10_000,
            title_model: None,
            is_titling: false,
        };
        assert_eq!((snapshot.values, refused), (expected, vec!["chat.default_model"]));
        let shown: Vec<_> = snapshot.all.iter().map(|one| (&one.value, one.updated_at.is_some())).collect();
        let (bound, off) = (Value::from(10_000), Value::from(false));
        let models = [(&Value::from("echo"), false), (&Value::Null, false)];
        assert_eq!(shown, [(&off, true), models[0], models[1], (&off, false), (&bound, false)]);
    }
}
