//! The size of the variables sent with a document. Their types are the engine's to check.

use super::{
    Limits, Refusal, RefusalCode,
    lexer::Steps,
    refusal::{Fault, shown},
};
use serde_json::Value;

/// Refuses variables that nest too deeply or hold too much, and returns the work done in steps: one for
/// every value, those not looked into included.
///
/// `uses` is how often the document uses variables: [`super::Passed::variable_uses`].
///
/// `null` stands for no variables; anything else must be an object. A refusal is about no place in the
/// document, so its line and column are 0; its message names the variable.
pub fn check_variables(variables: &Value, uses: u64, limits: &Limits) -> Result<u64, Refusal> {
    let mut steps = Steps::default();
    match check_all(variables, uses, limits, &mut steps) {
        Ok(()) => Ok(steps.total()),
        Err(fault) => Err(fault.into_refusal("", steps.total())),
    }
}

fn check_all(variables: &Value, uses: u64, limits: &Limits, steps: &mut Steps) -> Result<(), Fault> {
    let variables = match variables {
        Value::Null => return Ok(()),
        Value::Object(variables) => variables,
        _ => {
            let message = "The variables must be a JSON object.".to_owned();
            return Err(Fault { code: RefusalCode::BadUserInput, message, at: None, excess: None });
        }
    };
    let (mut values, mut bytes) = (0, 0_u64);
    check_items("The variables", variables.len(), &mut values, limits)?;
    for (name, value) in variables {
        bytes = bytes.saturating_add(check_variable(name, value, &mut values, limits, steps)?);
    }
    let (copies, maximum) = (bytes.saturating_mul(uses), limits.variable_copies);
    if copies > maximum {
        let what = "The variables are too large for as often as the document uses variables";
        return Err(Fault::excess(RefusalCode::BadUserInput, None, what, copies, maximum));
    }
    Ok(())
}

/// Room for a value itself, beside its text or its items.
const BYTES_OF_A_VALUE: usize = 32;

/// Returns the bytes of the value. The stack holds at most the values counted so far, which the limit bounds.
fn check_variable(
    name: &str,
    value: &Value,
    values: &mut usize,
    limits: &Limits,
    steps: &mut Steps,
) -> Result<u64, Fault> {
    let subject = format!("The variable {}", shown(name));
    let mut stack = vec![(value, 2)];
    let mut bytes = 0;
    while let Some((value, depth)) = stack.pop() {
        steps.take();
        bytes += BYTES_OF_A_VALUE;
        let items = match value {
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            Value::String(text) => {
                bytes += text.len();
                continue;
            }
            _ => continue,
        };
        if depth > limits.variables_depth {
            return Err(excess(&subject, "values nest too deeply", depth, limits.variables_depth));
        }
        check_items(&subject, items, values, limits)?;
        match value {
            Value::Array(items) => stack.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(fields) => {
                bytes += fields.keys().map(String::len).sum::<usize>();
                stack.extend(fields.values().map(|field| (field, depth + 1)));
            }
            _ => {}
        }
    }
    Ok(bytes as u64)
}

/// Counts the items of a list or object before any of them is looked at.
fn check_items(subject: &str, items: usize, values: &mut usize, limits: &Limits) -> Result<(), Fault> {
    *values = values.saturating_add(items);
    if items > limits.variables_items {
        return Err(excess(subject, "too many items in one list or object", items, limits.variables_items));
    }
    if *values > limits.variables_values {
        return Err(excess(
            subject,
            "too many values in all variables together",
            *values,
            limits.variables_values,
        ));
    }
    Ok(())
}

fn excess(subject: &str, problem: &str, measured: usize, maximum: usize) -> Fault {
    let (measured, maximum) = (measured as u64, maximum as u64);
    Fault::excess(RefusalCode::BadUserInput, None, &format!("{subject}: {problem}"), measured, maximum)
}
