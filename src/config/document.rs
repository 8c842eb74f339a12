//! The strict reader, for files of the operator that are not the configuration: every fault at once, each with its line,
//! and no key that nobody reads.

use std::collections::BTreeMap;

pub(crate) use super::{
    amounts::micro_units,
    faults::Refusal,
    reader::{Reader, Section, filled, whole_in},
};
use super::{
    faults::ConfigFaults,
    layers::{Entries, Key, Lists, Origin, read_file},
    sources::ConfigFile,
};

/// A TOML file that was read and not yet understood. The sections of a list are numbered from 1.
pub(crate) struct Document {
    entries: Entries,
    /// Names below each section, `plans` for example, in the order of the file.
    names: Vec<(String, String)>,
}

impl Document {
    /// Fails only if the text is not TOML.
    pub(crate) fn parse(path: &str, text: &str) -> Result<Self, ConfigFaults> {
        let file = ConfigFile { path: path.to_owned(), text: text.to_owned() };
        let entries = read_file(&file, Lists::OfSections)?;
        let mut lines: Vec<(usize, &Key)> =
            entries.iter().map(|(key, entry)| (line(&entry.origin), key)).collect();
        lines.sort();
        let mut names = Vec::new();
        for (_, key) in lines {
            if let [section, name, _, ..] = key.0.as_slice() {
                let pair = (section.clone(), name.clone());
                if !names.contains(&pair) {
                    names.push(pair);
                }
            }
        }
        Ok(Self { entries, names })
    }

    /// A value as it is written.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.entries.get(&Key::new(&[name])).map(|entry| entry.text.as_str())
    }

    /// Names below a section, in the order of the file.
    pub(crate) fn names(&self, section: &str) -> Vec<String> {
        self.names.iter().filter(|(own, _)| own == section).map(|(_, name)| name.clone()).collect()
    }

    /// Lays this over another: a whole entry such as `plans.pro` takes the place of that of the same name, and a single
    /// value that of a single value.
    pub(crate) fn over(self, mut base: Self) -> Self {
        let is_replaced = |key: &Key| match key.0.as_slice() {
            [section, name, _, ..] => self.names.contains(&(section.clone(), name.clone())),
            _ => false,
        };
        base.entries.retain(|key, _| !is_replaced(key));
        base.entries.extend(self.entries);
        for pair in self.names {
            if !base.names.contains(&pair) {
                base.names.push(pair);
            }
        }
        base
    }

    /// Begins the reading; `advice` is for keys that resemble nothing.
    pub(crate) fn reader(self, advice: &'static str) -> Reader {
        Reader::new(self.entries, BTreeMap::new(), advice)
    }
}

fn line(origin: &Origin) -> usize {
    match origin {
        Origin::File { line, .. } => *line,
        Origin::Variable(_) | Origin::Flag(_) => 0,
    }
}
