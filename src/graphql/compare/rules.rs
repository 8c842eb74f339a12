//! Which change hurts whom.

use async_graphql::parser::types::{BaseType, Type};

use super::{Change, Severity, surface::Kind};

/// Levels of `@access` from the widest to the narrowest.
const LEVELS: [&str; 3] = ["PUBLIC", "USER", "ADMIN"];

pub(super) fn breaking(coordinate: &str, reason: impl Into<String>) -> Change {
    Change { severity: Severity::Breaking, coordinate: coordinate.to_owned(), reason: reason.into() }
}

fn dangerous(coordinate: &str, reason: impl Into<String>) -> Change {
    Change { severity: Severity::Dangerous, coordinate: coordinate.to_owned(), reason: reason.into() }
}

/// Something new on something that was there before.
pub(super) fn added(coordinate: &str, kind: &Kind) -> Option<Change> {
    match kind {
        Kind::Input { ty, default } if is_required(ty, default.as_deref()) => {
            Some(breaking(coordinate, "was added and is required"))
        }
        Kind::EnumValue | Kind::Member => Some(dangerous(coordinate, "was added")),
        _ => None,
    }
}

/// Something that is still there.
pub(super) fn changed(coordinate: &str, old: &Kind, new: &Kind, changes: &mut Vec<Change>) {
    match (old, new) {
        (Kind::Type { sort: old, is_one_of: was }, Kind::Type { sort: new, is_one_of: is }) => {
            if old != new {
                changes.push(breaking(coordinate, format!("was of kind {old} and is of kind {new}")));
            } else if *is && !was {
                changes.push(breaking(coordinate, "takes exactly one of its fields now"));
            }
        }
        (Kind::Field { ty: old, access: was }, Kind::Field { ty: new, access: is }) => {
            if !is_safe_output(old, new) {
                changes.push(breaking(coordinate, format!("was {old} and is {new}")));
            }
            changes.extend(access_changed(coordinate, was.as_deref(), is.as_deref()));
        }
        (Kind::Input { ty: old, default: was }, Kind::Input { ty: new, default: is }) => {
            changes.extend(input_changed(coordinate, (old, was.as_deref()), (new, is.as_deref())));
        }
        (old, new) if old != new => changes.push(breaking(coordinate, "is something else now")),
        _ => {}
    }
}

/// An undeclared root field is closed to everybody.
fn access_changed(coordinate: &str, old: Option<&str>, new: Option<&str>) -> Option<Change> {
    let old = old?;
    let Some(new) = new else {
        return Some(breaking(coordinate, format!("was open to {old} and is closed")));
    };
    let rank = |level: &str| LEVELS.iter().position(|known| *known == level).unwrap_or(LEVELS.len());
    (rank(new) > rank(old))
        .then(|| breaking(coordinate, format!("was open to {old} and is open to {new} only")))
}

fn input_changed(
    coordinate: &str,
    (old, was): (&Type, Option<&str>),
    (new, is): (&Type, Option<&str>),
) -> Option<Change> {
    if !is_safe_input(old, new) {
        return Some(breaking(coordinate, format!("took {old} and takes {new}")));
    }
    if is_required(new, is) && !is_required(old, was) {
        return Some(breaking(coordinate, "lost its default and is required"));
    }
    let word = |default: Option<&str>| default.unwrap_or("absent").to_owned();
    (was != is).then(|| dangerous(coordinate, format!("had the default {} and has {}", word(was), word(is))))
}

fn is_required(ty: &Type, default: Option<&str>) -> bool {
    !ty.nullable && default.is_none()
}

/// True when whoever could take `old` can take `new`: the same, or null in fewer places.
fn is_safe_output(old: &Type, new: &Type) -> bool {
    (old.nullable || !new.nullable) && has_base(&old.base, &new.base, is_safe_output)
}

/// True when whatever could be given for `old` can be given for `new`: the same, or null in more places.
fn is_safe_input(old: &Type, new: &Type) -> bool {
    (new.nullable || !old.nullable) && has_base(&old.base, &new.base, is_safe_input)
}

fn has_base(old: &BaseType, new: &BaseType, is_safe: fn(&Type, &Type) -> bool) -> bool {
    match (old, new) {
        (BaseType::Named(old), BaseType::Named(new)) => old == new,
        (BaseType::List(old), BaseType::List(new)) => is_safe(old, new),
        _ => false,
    }
}
