//! Gives values their types. Reading a key makes it known; what nobody read is unknown and refused at the end.
//! A fault never stops the reading: the default stands in and the whole configuration is refused once all is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    ops::RangeInclusive,
    str::FromStr,
};

use secrecy::SecretString;

use super::{
    faults::{ConfigFaults, Fault, Refusal},
    layers::{Entries, Entry, Key, Origin, USUAL_VARIABLES},
};

/// Below this likeness (1 is the same) a suggestion would puzzle more than help.
const LIKELY: f64 = 0.6;

/// All values given, the keys asked for so far and the faults found so far.
pub(crate) struct Reader {
    entries: Entries,
    variables: BTreeMap<String, String>,
    known: BTreeSet<Key>,
    /// Sections whose names were asked for, which may be empty.
    listed: BTreeSet<Key>,
    faults: Vec<Fault>,
    /// What to do about a key that resembles no known one.
    advice: &'static str,
}

impl Reader {
    pub(crate) fn new(entries: Entries, variables: BTreeMap<String, String>, advice: &'static str) -> Self {
        let (known, listed) = (BTreeSet::new(), BTreeSet::new());
        Self { entries, variables, known, listed, faults: Vec::new(), advice }
    }

    pub(crate) fn section(&mut self, path: &[&str]) -> Section<'_> {
        Section { reader: self, path: Key::new(path) }
    }

    /// Ends the reading: faults in the order of the reading, then unknown keys.
    pub(crate) fn finish(mut self) -> Result<(), ConfigFaults> {
        let unknown = self.entries.iter().filter(|(key, entry)| !self.is_known(key, entry));
        let unknown: Vec<_> = unknown.map(|(key, entry)| self.unknown_fault(key, entry)).collect();
        self.faults.extend(unknown);
        if self.faults.is_empty() { Ok(()) } else { Err(ConfigFaults(self.faults)) }
    }

    /// Every key asked for so far.
    #[cfg(test)]
    pub(crate) fn known(&self) -> impl Iterator<Item = &Key> {
        self.known.iter()
    }

    fn is_known(&self, key: &Key, entry: &Entry) -> bool {
        let is_section_of_known = || self.known.iter().any(|known| known.0.starts_with(&key.0));
        let is_section = || self.listed.contains(key) || is_section_of_known();
        self.known.contains(key) || (entry.is_section && is_section())
    }

    fn unknown_fault(&self, key: &Key, entry: &Entry) -> Fault {
        let (shown, similar) = match &entry.origin {
            Origin::Variable(name) => (name.clone(), self.similar_variable(key)),
            _ => (key.to_string(), self.similar(key).map(Key::to_string)),
        };
        // In `models.gpt-4.1.prices` the 1 is a section of its own.
        let is_cut_model = key.0.first().is_some_and(|segment| segment == "models")
            && key.0.get(2).is_some_and(|segment| segment.starts_with(|c: char| c.is_ascii_digit()));
        let fix = match similar {
            _ if is_cut_model => "put a model name that holds a dot in quotes".to_owned(),
            Some(similar) => format!("did you mean {similar}?"),
            None => format!("remove it; {}", self.advice),
        };
        Fault { key: shown, origin: Some(entry.origin.to_string()), why: "is no setting".to_owned(), fix }
    }

    fn similar(&self, wrong: &Key) -> Option<&Key> {
        let scored = self.known.iter().map(|known| (likeness(&wrong.0.join("_"), &known.0.join("_")), known));
        scored
            .filter(|(score, _)| *score >= LIKELY)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, known)| known)
    }

    fn similar_variable(&self, wrong: &Key) -> Option<String> {
        let written = wrong.variable();
        let usual = USUAL_VARIABLES.iter().map(|(name, _)| *name).filter(|name| name.starts_with("LOQUENT_"));
        let usual = usual.map(|name| (likeness(&written, name), name.to_owned()));
        let known = self
            .similar(wrong)
            .map(|known| (likeness(&wrong.0.join("_"), &known.0.join("_")), known.variable()));
        // The prefix is alike in all of them, so a short name must be closer still.
        let scored = usual.filter(|(score, _)| *score >= 0.8).chain(known);
        scored.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
    }
}

/// 0 for nothing in common, 1 for the same. A key that only lacks its section is almost the same.
fn likeness(wrong: &str, right: &str) -> f64 {
    let lacks_section = right.strip_suffix(wrong).is_some_and(|section| section.ends_with('_'));
    if lacks_section { 0.95 } else { strsim::normalized_damerau_levenshtein(wrong, right) }
}

/// The keys below one path.
pub(crate) struct Section<'a> {
    reader: &'a mut Reader,
    path: Key,
}

impl Section<'_> {
    pub(crate) fn section(&mut self, name: &str) -> Section<'_> {
        Section { path: self.path.child(name), reader: self.reader }
    }

    /// Names directly below this path, for the sections that the operator names, such as providers.
    pub(crate) fn children(&mut self) -> BTreeSet<String> {
        self.reader.listed.insert(self.path.clone());
        let below = self.reader.entries.keys().filter_map(|key| key.0.strip_prefix(self.path.0.as_slice()));
        below.filter_map(|rest| rest.first().cloned()).collect()
    }

    /// A variable by its full name, as `api_key_env` gives it; set to nothing counts as unset.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let text = self.reader.variables.get(name)?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.reader.entries.contains_key(&self.path.child(name))
    }

    /// Records a fault of one key of this section.
    pub(crate) fn refuse(&mut self, name: &str, refusal: Refusal) {
        let key = self.path.child(name);
        let origin = self.reader.entries.get(&key).map(|entry| entry.origin.to_string());
        self.reader.faults.push(Fault { key: key.to_string(), origin, why: refusal.why, fix: refusal.fix });
    }

    /// The value if it is there and `parse` takes it; surrounding space does not count.
    pub(crate) fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        let key = self.path.child(name);
        let entry = self.reader.entries.get(&key);
        let outcome = entry.map(|entry| match entry.is_section {
            false => parse(entry.text.trim()),
            true => Err(Refusal::new("is a section or a nested list", "give it one value")),
        });
        self.reader.known.insert(key);
        match outcome? {
            Ok(value) => Some(value),
            Err(refusal) => {
                self.refuse(name, refusal);
                None
            }
        }
    }

    /// As [`Self::parsed`]; a missing value is a fault too.
    pub(crate) fn required<T>(
        &mut self,
        name: &str,
        missing: Refusal,
        parse: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        if !self.has(name) {
            self.refuse(name, missing);
        }
        self.parsed(name, parse)
    }

    pub(crate) fn whole<T: FromStr + PartialOrd + Display>(
        &mut self,
        name: &str,
        default: T,
        range: RangeInclusive<T>,
    ) -> T {
        self.parsed(name, whole_in(range)).unwrap_or(default)
    }

    pub(crate) fn switch(&mut self, name: &str, default: bool) -> bool {
        self.parsed(name, switch).unwrap_or(default)
    }

    /// Text that is not empty.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.parsed(name, filled)
    }

    pub(crate) fn secret(&mut self, name: &str) -> Option<SecretString> {
        self.text(name).map(SecretString::from)
    }
}

pub(crate) fn filled(text: &str) -> Result<String, Refusal> {
    match text {
        "" => Err(Refusal::new("is empty", "give it a value or remove it")),
        text => Ok(text.to_owned()),
    }
}

/// Reads a whole number within `range`.
pub(crate) fn whole_in<T: FromStr + PartialOrd + Display>(
    range: RangeInclusive<T>,
) -> impl FnOnce(&str) -> Result<T, Refusal> {
    move |text| match text.replace('_', "").parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(Refusal::new(
            "is not a whole number in its range",
            format!("set it to a number from {} to {}", range.start(), range.end()),
        )),
    }
}

fn switch(text: &str) -> Result<bool, Refusal> {
    match text.to_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Ok(true),
        "false" | "off" | "no" | "0" => Ok(false),
        _ => Err(Refusal::new("is neither on nor off", "set it to true or false")),
    }
}
