//! What an operation costs, in points, before any of it is executed. What it cost in the end is in [`super::bill`].
//!
//! A scalar is free and an object costs one point; `@cost` beside a resolver says otherwise. What is under `nodes` and
//! `edges` of a page counts once for every item that is asked for, and a list of objects named by `ids` once for every
//! id. `@skip` and `@include` are not looked at, and of the fragments on an interface all count: the price is an upper
//! bound. Points measure work of the API alone; what models do is paid with credits.

use std::collections::HashMap;

use async_graphql::{
    Name, Pos, Positioned, TypeDirective, Value, Variables,
    parser::types::{Field, SelectionSet, VariableDefinition},
    registry::{MetaField, MetaTypeName, Registry},
};
use async_graphql_value::Value as Argument;

use super::selection::{Selected, Selections};
use crate::graphql::pagination::{DEFAULT_PAGE, MAX_PAGE};

/// Points this field adds to the cost of an operation, when it differs from the default of 0 for a scalar and 1 for an object.
#[TypeDirective(location = "FieldDefinition")]
pub fn cost(#[graphql(desc = "Points as a decimal number.")] weight: String) {}

/// Points of `__schema` and of `__type`, whatever is asked of them: the answer comes from memory.
const INTROSPECTION: u64 = 10;

/// A field of the schema at a place of a document.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub parent: &'a str,
    pub field: &'a str,
    pub pos: Pos,
}

/// Points that one selected field adds, which may be none.
#[derive(Clone, Copy)]
pub struct Charge<'a> {
    /// Where the points are noted: an item of a page is charged to the field that asks for the page.
    pub place: Place<'a>,
    pub points: u64,
    /// How deep the field stands, its key in the answer, and the points of one object there.
    pub depth: usize,
    pub key: &'a Name,
    pub weight: u64,
    /// Each object there counts, as those of a page do.
    pub is_each: bool,
}

/// The operation to be priced.
#[derive(Clone, Copy)]
pub struct Pricing<'a> {
    pub selections: Selections<'a>,
    pub definitions: &'a [Positioned<VariableDefinition>],
    pub variables: &'a Variables,
}

/// The page that a selection is the connection of.
#[derive(Clone, Copy)]
struct Page<'a> {
    asked_by: Place<'a>,
    items: u64,
}

/// What a selection stands in: how many objects are asked for there, and how deep it is.
#[derive(Clone, Copy)]
struct Around<'a> {
    times: u64,
    depth: usize,
    page: Option<Page<'a>>,
}

impl<'a> Pricing<'a> {
    /// Calls `note` with every field that has a price or something below it, a field before what is below it; together
    /// they are the total.
    pub fn charge(&self, root: &'a str, set: &'a SelectionSet, note: &mut dyn FnMut(Charge<'a>)) {
        self.walk(root, set, Around { times: 1, depth: 0, page: None }, note);
    }

    fn walk(
        &self,
        parent: &'a str,
        set: &'a SelectionSet,
        around: Around<'a>,
        note: &mut dyn FnMut(Charge<'a>),
    ) {
        self.selections.each(parent, set, &mut |selected| self.field(selected, around, note));
    }

    fn field(&self, selected: Selected<'a>, around: Around<'a>, note: &mut dyn FnMut(Charge<'a>)) {
        let Selected { parent, meta, field } = selected;
        let Around { times, depth, page } = around;
        let (name, key) = (field.node.name.node.as_str(), &field.node.response_key().node);
        let here = Place { parent, field: name, pos: field.pos };
        let Some(meta) = meta else {
            if matches!(name, "__schema" | "__type") {
                let (points, weight) = (INTROSPECTION.saturating_mul(times), INTROSPECTION);
                note(Charge { place: here, points, depth, key, weight, is_each: false });
            }
            return;
        };
        let (place, items) = match page {
            Some(page) if matches!(name, "nodes" | "edges") => (page.asked_by, Some(page.items)),
            _ => (here, self.listed(&field.node, meta)),
        };
        let times = times.saturating_mul(items.unwrap_or(1));
        let weight = weight(self.selections.registry, meta);
        let set = &field.node.selection_set.node;
        if weight > 0 || !set.items.is_empty() {
            let points = weight.saturating_mul(times);
            note(Charge { place, points, depth, key, weight, is_each: items.is_some() });
        }
        let page = self.page_size(&field.node, meta).map(|items| Page { asked_by: here, items });
        let kind = MetaTypeName::concrete_typename(&meta.ty);
        self.walk(kind, set, Around { times, depth: depth + 1, page }, note);
    }

    /// Items of the page that a field asks for; `None` when it has no pages. The field itself refuses more than it gives.
    fn page_size(&self, field: &Field, meta: &MetaField) -> Option<u64> {
        let mut sizes = ["first", "last"].into_iter().filter_map(|name| {
            let argument = meta.args.get(name)?;
            let usual = || argument.default_value.as_ref().and_then(|text| text.parse::<i64>().ok());
            Some(self.whole(field, name).or_else(usual))
        });
        let size = sizes.next()?.max(sizes.next().flatten());
        let size = size.unwrap_or(i64::from(DEFAULT_PAGE)).clamp(0, i64::from(MAX_PAGE));
        Some(size.unsigned_abs())
    }

    /// Objects that a field names by their ids; `None` when it does not.
    fn listed(&self, field: &Field, meta: &MetaField) -> Option<u64> {
        let is_list = MetaTypeName::create(&meta.args.get("ids")?.ty).is_list();
        let length = match field.get_argument("ids").map(|value| &value.node) {
            Some(Argument::Variable(name)) => match self.variable(name) {
                Some(Value::List(ids)) => ids.len(),
                _ => 1,
            },
            Some(Argument::List(ids)) => ids.len(),
            _ => 1,
        };
        is_list.then_some(u64::try_from(length).unwrap_or(u64::MAX))
    }

    /// A whole number given as an argument, whether written out or by a variable.
    fn whole(&self, field: &Field, name: &str) -> Option<i64> {
        match &field.get_argument(name)?.node {
            Argument::Number(number) => number.as_i64(),
            Argument::Variable(name) => match self.variable(name)? {
                Value::Number(number) => number.as_i64(),
                _ => None,
            },
            _ => None,
        }
    }

    fn variable(&self, name: &Name) -> Option<&'a Value> {
        self.variables.get(name).or_else(|| {
            let definition = self.definitions.iter().find(|definition| definition.node.name.node == *name)?;
            definition.node.default_value()
        })
    }
}

/// Points of one object that this field answers with.
pub fn weight(registry: &Registry, field: &MetaField) -> u64 {
    let directive = field.directive_invocations.iter().find(|directive| directive.name == "cost");
    let declared = directive.and_then(|directive| match directive.args.get("weight") {
        Some(Value::String(weight)) => weight.parse().ok(),
        _ => None,
    });
    declared.unwrap_or_else(|| {
        let kind = registry.types.get(MetaTypeName::concrete_typename(&field.ty));
        u64::from(kind.is_some_and(|kind| kind.is_composite()))
    })
}

/// Points of one field of the schema, over all places of a document.
pub struct FieldCost {
    /// Such as `Account.conversations`.
    pub coordinate: String,
    pub points: u64,
    /// The first of the places.
    pub pos: Pos,
}

impl<'a> Pricing<'a> {
    /// The fields that cost something, the costliest first.
    pub fn itemize(&self, root: &'a str, set: &'a SelectionSet) -> Vec<FieldCost> {
        let mut fields: HashMap<(&str, &str), (u64, Pos)> = HashMap::new();
        self.charge(root, set, &mut |Charge { place, points, .. }| {
            if points > 0 {
                let (sum, _) = fields.entry((place.parent, place.field)).or_insert((0, place.pos));
                *sum = sum.saturating_add(points);
            }
        });
        let item = |((parent, field), (points, pos))| FieldCost {
            coordinate: format!("{parent}.{field}"),
            points,
            pos,
        };
        let mut fields: Vec<FieldCost> = fields.into_iter().map(item).collect();
        fields.sort_by(|a, b| b.points.cmp(&a.points).then_with(|| a.coordinate.cmp(&b.coordinate)));
        fields
    }
}
