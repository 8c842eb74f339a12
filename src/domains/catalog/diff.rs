//! How two catalogues differ, in lines for people. Each thing is described by named facts; the facts are compared.

mod facts;

use std::{collections::BTreeSet, fmt};

use super::content::CatalogContent;
use facts::{Facts, things};

/// What happened to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Added,
    Changed,
    Removed,
}

/// One thing that differs, such as a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub kind: Kind,
    /// What it is, such as `plan pro`.
    pub what: String,
    /// How it is now, or how it differs.
    pub details: Vec<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.kind {
            Kind::Added => '+',
            Kind::Changed => '~',
            Kind::Removed => '-',
        };
        write!(f, "{sign} {}", self.what)?;
        self.details.iter().try_for_each(|detail| write!(f, "\n    {detail}"))
    }
}

/// Everything that differs; without an old one everything is added.
pub fn diff(old: Option<&CatalogContent>, new: &CatalogContent) -> Vec<Change> {
    let (old, new) = (old.map(things).unwrap_or_default(), things(new));
    let find = |all: &[(String, Facts)], what: &str| {
        all.iter().find(|(name, _)| name == what).map(|(_, facts)| facts.clone())
    };
    let gone = old.iter().filter(|(what, _)| find(&new, what).is_none());
    let removed =
        gone.map(|(what, _)| Change { kind: Kind::Removed, what: what.clone(), details: Vec::new() });
    let changes = new.iter().filter_map(|(what, facts)| match find(&old, what) {
        None => Some(Change {
            kind: Kind::Added,
            what: what.clone(),
            details: facts.iter().map(|(name, value)| format!("{name}: {value}")).collect(),
        }),
        Some(known) if known == *facts => None,
        Some(known) => {
            Some(Change { kind: Kind::Changed, what: what.clone(), details: differences(&known, facts) })
        }
    });
    changes.chain(removed).collect()
}

fn differences(old: &Facts, new: &Facts) -> Vec<String> {
    let find = |facts: &Facts, name: &str| {
        facts.iter().find(|(known, _)| known == name).map_or("none".to_owned(), |(_, value)| value.clone())
    };
    let mut seen = BTreeSet::new();
    let names = new.iter().chain(old).map(|(name, _)| name).filter(|name| seen.insert(name.as_str()));
    let compared = names.map(|name| (name, find(old, name), find(new, name)));
    compared
        .filter(|(_, before, after)| before != after)
        .map(|(name, before, after)| format!("{name}: {before} -> {after}"))
        .collect()
}
