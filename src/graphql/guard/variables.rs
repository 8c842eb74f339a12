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
/// `null` stands for no variables; anything else must be an object. A refusal is about no place in the
/// document, so its line and column are 0; its message names the variable.
pub fn check_variables(variables: &Value, limits: &Limits) -> Result<u64, Refusal> {
    let mut steps = Steps::default();
    match check_all(variables, limits, &mut steps) {
        Ok(()) => Ok(steps.total()),
        Err(fault) => Err(fault.into_refusal("", steps.total())),
    }
}

fn check_all(variables: &Value, limits: &Limits, steps: &mut Steps) -> Result<(), Fault> {
    let variables = match variables {
        Value::Null => return Ok(()),
        Value::Object(variables) => variables,
        _ => {
            let message = "The variables must be a JSON object.".to_owned();
            return Err(Fault { code: RefusalCode::BadUserInput, message, at: None, excess: None });
        }
    };
    let mut values = 0;
    check_items("The variables", variables.len(), &mut values, limits)?;
    for (name, value) in variables {
        check_variable(name, value, &mut values, limits, steps)?;
    }
    Ok(())
}

/// The stack holds at most the values counted so far, which the limit bounds.
fn check_variable(
    name: &str,
    value: &Value,
    values: &mut usize,
    limits: &Limits,
    steps: &mut Steps,
) -> Result<(), Fault> {
    let subject = format!("The variable {}", shown(name));
    let mut stack = vec![(value, 2)];
    while let Some((value, depth)) = stack.pop() {
        steps.take();
        let items = match value {
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            _ => continue,
        };
        if depth > limits.variables_depth {
            return Err(excess(&subject, "values nest too deeply", depth, limits.variables_depth));
        }
        check_items(&subject, items, values, limits)?;
        match value {
            Value::Array(items) => stack.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(fields) => stack.extend(fields.values().map(|field| (field, depth + 1))),
            _ => {}
        }
    }
    Ok(())
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
