//! The values of variables against their declared types (CoerceVariableValues of the specification), for every variable
//! that the operation declares, used or not. Values are never repeated in a message: some are passwords.

use std::fmt;

use async_graphql::{
    Positioned, ServerError, Value, Variables,
    parser::types::VariableDefinition,
    registry::{MetaInputValue, MetaType, MetaTypeName, Registry},
};

use super::refusal;
use crate::error::ErrorCode;

/// A client with more mistakes than this finds the rest after it has put these right.
const MAX_ERRORS: usize = 10;

/// Longest piece of a client's own name for a field that a message repeats, in characters.
const MAX_SHOWN: usize = 64;

/// What is wrong with the values, at most ten errors; each is located at the definition of its variable.
pub fn check(
    registry: &Registry,
    definitions: &[Positioned<VariableDefinition>],
    variables: &Variables,
) -> Vec<ServerError> {
    let mut check = Check { registry, faults: Vec::new() };
    let mut errors = Vec::new();
    for definition in definitions {
        let VariableDefinition { name, var_type, default_value, .. } = &definition.node;
        let place = Place::Variable(name.node.as_str());
        let kind = var_type.node.to_string();
        match variables.get(&name.node) {
            Some(value) => check.value(&place, &kind, value),
            None if default_value.is_none() && !var_type.node.nullable => {
                check.fault(&place, format_args!("a value of type `{kind}` is required"));
            }
            None => {}
        }
        errors.extend(
            check.faults.drain(..).map(|fault| refusal(ErrorCode::BadUserInput, fault, definition.pos)),
        );
        if errors.len() >= MAX_ERRORS {
            errors.truncate(MAX_ERRORS);
            break;
        }
    }
    errors
}

/// Where a value is: `$input.parts[0].text`.
enum Place<'a> {
    Variable(&'a str),
    Field(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "${name}"),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

struct Check<'a> {
    registry: &'a Registry,
    faults: Vec<String>,
}

impl Check<'_> {
    fn fault(&mut self, place: &Place<'_>, what: fmt::Arguments<'_>) {
        if self.faults.len() < MAX_ERRORS {
            self.faults.push(format!("Variable `{place}`: {what}."));
        }
    }

    fn value(&mut self, place: &Place<'_>, kind: &str, value: &Value) {
        match (MetaTypeName::create(kind), value) {
            (MetaTypeName::NonNull(_), Value::Null) => {
                self.fault(place, format_args!("a value of type `{kind}` may not be null"));
            }
            (_, Value::Null) => {}
            (MetaTypeName::NonNull(kind), value) => self.value(place, kind, value),
            (MetaTypeName::List(kind), Value::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(&Place::Item(place, index), kind, item);
                }
            }
            // A single value stands for a list of one.
            (MetaTypeName::List(kind), value) => self.value(place, kind, value),
            (MetaTypeName::Named(kind), value) => self.named(place, kind, value),
        }
    }

    fn named(&mut self, place: &Place<'_>, kind: &str, value: &Value) {
        let is_good = match self.registry.types.get(kind) {
            Some(MetaType::Scalar { is_valid, .. }) => {
                let is_in_range = kind != "Int" || is_int(value);
                is_in_range && is_valid.as_ref().is_none_or(|is_valid| is_valid(value))
            }
            Some(MetaType::Enum { enum_values, .. }) => match value {
                Value::String(name) => enum_values.contains_key(name),
                _ => false,
            },
            Some(MetaType::InputObject { .. }) => match value {
                Value::Object(_) => return self.object(place, kind, value),
                _ => false,
            },
            // Validation says what is wrong with such a variable.
            _ => true,
        };
        if !is_good {
            self.fault(place, format_args!("this is not a value of type `{kind}`"));
        }
    }

    fn object(&mut self, place: &Place<'_>, kind: &str, value: &Value) {
        let Some(MetaType::InputObject { input_fields, oneof, .. }) = self.registry.types.get(kind) else {
            return;
        };
        let Value::Object(given) = value else { return };
        if *oneof && (given.len() != 1 || given.values().any(|value| *value == Value::Null)) {
            return self
                .fault(place, format_args!("exactly one field of `{kind}` is given, and it is not null"));
        }
        for name in given.keys().filter(|name| !input_fields.contains_key(name.as_str())) {
            self.fault(place, format_args!("`{kind}` has no field `{}`", shown(name)));
        }
        for field in input_fields.values() {
            let place = Place::Field(place, &field.name);
            match given.get(field.name.as_str()) {
                Some(value) => self.value(&place, &field.ty, value),
                None if is_required(field) => {
                    self.fault(&place, format_args!("a value of type `{}` is required", field.ty));
                }
                None => {}
            }
        }
    }
}

fn is_required(field: &MetaInputValue) -> bool {
    field.ty.ends_with('!') && field.default_value.is_none()
}

/// The engine asks only for 64 bits.
fn is_int(value: &Value) -> bool {
    matches!(value, Value::Number(number) if number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()))
}

fn shown(name: &str) -> String {
    name.chars().take(MAX_SHOWN).collect()
}
