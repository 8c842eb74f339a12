//! Whether one operation is let in, and what it costs.

use async_graphql::{
    Name, Pos, Response, ServerError, ServerResult, Value, Variables,
    parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType},
    registry::Registry,
    value,
};

use super::{
    Admission,
    bill::Bill,
    cost::{FieldCost, Pricing},
    refusal, refusal_of,
    selection::{Selected, Selections},
    variables,
};
use crate::{
    error::{ErrorCode, Result},
    graphql::{Caller, Credential, access},
};

/// Fields that the refusal of a costly operation names.
const COSTLIEST: usize = 3;

/// Fields that an itemized cost names.
const MAX_ITEMS: usize = 50;

/// The decision about an operation that its caller may run.
#[derive(Default)]
pub struct Verdict {
    /// What is wrong with the request, for the case that its document is valid; none: it runs.
    pub errors: Vec<ServerError>,
    /// Points of the operation.
    pub points: u64,
    /// `None` for a subscription: nothing is given back of what runs for as long as it likes.
    bill: Option<Bill>,
    /// `extensions.cost` of the answer, before anything is known of the answer.
    pub cost: Value,
}

impl Verdict {
    /// Points of the operation whose whole answer this is. With errors they are all that were asked for: what was done
    /// below a field that failed is not in the answer.
    pub fn actual(&self, answer: &Response) -> u64 {
        match &self.bill {
            Some(bill) if answer.errors.is_empty() => bill.actual(&answer.data),
            _ => self.points,
        }
    }

    /// What is wrong in all, when the engine's own validation found these errors. It measures values of variables by the
    /// rules for documents; where the request is refused anyway, that says less than the verdict, and too early.
    pub fn add_to(&self, mut errors: Vec<ServerError>) -> Vec<ServerError> {
        if !self.errors.is_empty() {
            errors.retain(|error| !error.message.starts_with("Invalid value for argument"));
        }
        if errors.is_empty() { self.errors.clone() } else { errors }
    }
}

/// A request as it is judged, which is before its document has been validated.
pub struct Case<'a> {
    pub registry: &'a Registry,
    pub policy: Admission,
    pub caller: &'a Caller,
    pub document: &'a ExecutableDocument,
    pub operation_name: Option<&'a str>,
    pub variables: &'a Variables,
}

impl<'a> Case<'a> {
    /// Judges the operation to run. Where there is none the engine says so: it is let in, at no cost.
    ///
    /// # Errors
    /// The caller may not run it.
    pub fn judge(&self) -> ServerResult<Verdict> {
        let operation = self.operation();
        let root = operation.and_then(|operation| access::root_type(self.registry, operation.ty));
        let (Some(operation), Some(root)) = (operation, root) else {
            return Ok(Verdict::default());
        };
        let selections = Selections { registry: self.registry, document: self.document };
        let mut roots = Vec::new();
        selections.each(root, &operation.selection_set.node, &mut |selected| roots.push(selected));
        if let Some(error) = self.access(&roots).or_else(|| self.introspection(&roots)) {
            return Err(error);
        }
        let errors = variables::check(self.registry, &operation.variable_definitions, self.variables);
        if !errors.is_empty() {
            return Ok(Verdict { errors, ..Verdict::default() });
        }
        let definitions = &operation.variable_definitions;
        let pricing = Pricing { selections, definitions, variables: self.variables };
        Ok(self.cost(&pricing, root, operation))
    }

    fn operation(&self) -> Option<&'a OperationDefinition> {
        let operation = match (&self.document.operations, self.operation_name) {
            (DocumentOperations::Single(operation), None) => Some(operation),
            (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
            (DocumentOperations::Multiple(operations), None) => operations.values().next(),
            (DocumentOperations::Single(_), Some(_)) => None,
        };
        operation.map(|operation| &operation.node)
    }

    /// Refuses when there is nothing in the operation that the caller may do. If something is, it runs, and the guard
    /// of each field closes the rest.
    fn access(&self, roots: &[Selected<'a>]) -> Option<ServerError> {
        let mut first = None;
        for root in roots {
            let error = self.may_call(root).err()?;
            first.get_or_insert_with(|| refusal_of(&error, root.field.pos));
        }
        first
    }

    fn may_call(&self, root: &Selected<'a>) -> Result<()> {
        match (root.meta, &self.caller.credential) {
            (Some(meta), _) => access::check(Some(meta), self.caller),
            // `__typename` and its like say nothing about access: a credential that is no good is not passed over.
            (None, Credential::Refused(error)) => Err(error.clone()),
            (None, _) => Ok(()),
        }
    }

    fn introspection(&self, roots: &[Selected<'a>]) -> Option<ServerError> {
        let root =
            roots.iter().find(|root| matches!(root.field.node.name.node.as_str(), "__schema" | "__type"))?;
        let error = self.policy.introspection.allows(&self.caller.credential).err()?;
        Some(refusal_of(&error, root.field.pos))
    }

    fn cost(&self, pricing: &Pricing<'a>, root: &'a str, operation: &'a OperationDefinition) -> Verdict {
        let set = &operation.selection_set.node;
        let bill = Bill::new(pricing, root, set);
        let (requested, maximum) = (bill.requested(), self.policy.operation_cost);
        if requested > maximum {
            let fields = pricing.itemize(root, set);
            let errors = vec![too_expensive(requested, maximum, &fields)];
            return Verdict { errors, ..Verdict::default() };
        }
        let mut cost = value!({ "requested": requested, "actual": requested, "maximum": maximum });
        if let (Value::Object(cost), true) = (&mut cost, self.caller.is_cost_itemized) {
            let fields = pricing.itemize(root, set);
            cost.insert(Name::new("fields"), shown(&fields, MAX_ITEMS));
        }
        let bill = (operation.ty != OperationType::Subscription).then_some(bill);
        Verdict { errors: Vec::new(), points: requested, bill, cost }
    }
}

fn too_expensive(requested: u64, maximum: u64, fields: &[FieldCost]) -> ServerError {
    let message =
        format!("This operation costs {requested} points; the limit for one operation is {maximum}.");
    let pos = fields.first().map_or(Pos::default(), |field| field.pos);
    let mut error = refusal(ErrorCode::QueryTooExpensive, message, pos);
    let extensions = error.extensions.get_or_insert_default();
    extensions.set("cost", requested);
    extensions.set("maximum", maximum);
    extensions.set("costliest", shown(fields, COSTLIEST));
    error
}

fn shown(fields: &[FieldCost], most: usize) -> Value {
    let shown = fields.iter().take(most);
    Value::List(shown.map(|field| value!({ "coordinate": field.coordinate, "cost": field.points })).collect())
}
