//! What a change of the schema means to clients that were written for the old one.
//!
//! Each schema is laid out as a [`Surface`]: everything a client can name, by its coordinate. Two surfaces are then
//! compared coordinate by coordinate. A change is breaking when an operation that was right may be refused or answered
//! in a shape that its client does not expect, and dangerous when it may only surprise: a value that was not there
//! before, a default that is another.

mod rules;
mod surface;

use std::fmt;

pub use surface::Surface;

/// How much a change hurts a client of the old schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Breaking,
    Dangerous,
}

/// One change that clients may notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub severity: Severity,
    /// Schema coordinate, such as `Query.message(id:)`; `Account implements Node` for a membership.
    pub coordinate: String,
    /// What happened to it.
    pub reason: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Breaking => "breaking ",
            Severity::Dangerous => "dangerous",
        };
        write!(f, "{severity} {}: {}", self.coordinate, self.reason)
    }
}

/// Every breaking or dangerous change on the way from `old` to `new`, ordered by coordinate. What was added with a thing
/// that is new, or went with a thing that was removed, is not listed again.
pub fn compare(old: &Surface, new: &Surface) -> Vec<Change> {
    let mut changes = Vec::new();
    for (coordinate, element) in old.elements() {
        match new.get(coordinate) {
            Some(now) => rules::changed(coordinate, &element.kind, &now.kind, &mut changes),
            None if element.parent.as_ref().is_none_or(|parent| new.get(parent).is_some()) => {
                changes.push(rules::breaking(coordinate, "was removed"));
            }
            None => {}
        }
    }
    for (coordinate, element) in new.elements() {
        let is_on_old = element.parent.as_ref().is_some_and(|parent| old.get(parent).is_some());
        if is_on_old && old.get(coordinate).is_none() {
            changes.extend(rules::added(coordinate, &element.kind));
        }
    }
    changes.sort_by(|a, b| a.coordinate.cmp(&b.coordinate));
    changes
}

#[cfg(test)]
mod tests;
