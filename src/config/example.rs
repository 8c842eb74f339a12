//! Holds `loquent.example.toml` to its word: it loads, its values are the defaults and it names every key.

use std::collections::BTreeMap;

use super::{Config, ConfigFile, Directories, Flags, Sources, layers::merge, reader::Reader};

const EXAMPLE: &str = include_str!("../../loquent.example.toml");

/// The file with every setting switched on.
fn complete() -> String {
    let switched_on = EXAMPLE.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') => setting,
        _ => line,
    });
    switched_on.collect::<Vec<_>>().join("\n")
}

fn sources(is_dev: bool, text: &str) -> Sources {
    Sources {
        file: Some(ConfigFile { path: "loquent.example.toml".to_owned(), text: text.to_owned() }),
        env: BTreeMap::from([("LOCAL_API_KEY".to_owned(), "issued".to_owned())]),
        flags: Flags { is_dev, ..Flags::default() },
        directories: Some(Directories { data: "/data".into(), cache: "/cache".into() }),
    }
}

#[test]
fn the_values_of_the_example_are_the_defaults() {
    let mut example = Config::load(sources(true, EXAMPLE)).expect("the example loads");
    example.providers.remove("local").expect("the example shows a provider");
    let defaults = Config::load(sources(true, "")).expect("nothing is needed");
    assert_eq!(format!("{example:#?}"), format!("{defaults:#?}"));
}

#[test]
fn the_example_names_every_key_and_each_is_valid() {
    let sources = sources(true, &complete());
    let mut reader = Reader::new(merge(&sources).expect("TOML"), sources.env.clone(), super::ADVICE);
    Config::read(&mut reader, &sources.flags, sources.directories.as_ref());
    let given = merge(&sources).expect("TOML");
    let missing: Vec<_> =
        reader.known().filter(|key| !given.contains_key(*key)).map(ToString::to_string).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(reader.known().count(), given.len());
    reader.finish().expect("every line is valid");
}

#[test]
fn the_signing_key_of_the_example_is_refused_outside_development() {
    let faults = Config::load(sources(false, &complete())).expect_err("an example key").0;
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert_eq!(faults[0].why, "key 1 is a known example");
    assert_eq!(faults[1].key, "providers.local.api_key");
}
