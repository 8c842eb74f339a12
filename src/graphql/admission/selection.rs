//! Fields of a selection with fragments put in the place of their spreads. The document guard has refused cycles and
//! bounded the number of selections after this very expansion, so a walk over all of it is bounded too.

use async_graphql::{
    Positioned,
    parser::types::{ExecutableDocument, Field, Selection, SelectionSet},
    registry::{MetaField, Registry},
};

/// One field as it is asked for.
#[derive(Clone, Copy)]
pub struct Selected<'a> {
    /// Name of the type that the selection is on.
    pub parent: &'a str,
    /// What the schema says of it; `None` for `__typename` and its like, and for what does not exist.
    pub meta: Option<&'a MetaField>,
    pub field: &'a Positioned<Field>,
}

/// A document beside the schema that it is for. It need not be valid: what the schema does not know is without `meta`.
#[derive(Clone, Copy)]
pub struct Selections<'a> {
    pub registry: &'a Registry,
    pub document: &'a ExecutableDocument,
}

impl<'a> Selections<'a> {
    /// Calls `visit` with every field of `set`, not with the fields below them.
    pub fn each(&self, parent: &'a str, set: &'a SelectionSet, visit: &mut dyn FnMut(Selected<'a>)) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    visit(Selected { parent, meta: self.meta(parent, field.node.name.node.as_str()), field });
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = self.document.fragments.get(&spread.node.fragment_name.node);
                    if let Some(fragment) = fragment {
                        let on = fragment.node.type_condition.node.on.node.as_str();
                        self.each(on, &fragment.node.selection_set.node, visit);
                    }
                }
                Selection::InlineFragment(fragment) => {
                    let condition = fragment.node.type_condition.as_ref();
                    let on = condition.map_or(parent, |condition| condition.node.on.node.as_str());
                    self.each(on, &fragment.node.selection_set.node, visit);
                }
            }
        }
    }

    /// The engine lists `__schema` and `__type` among the fields of the query root; here they are what they are.
    fn meta(&self, parent: &str, field: &str) -> Option<&'a MetaField> {
        if field.starts_with("__") { None } else { self.registry.types.get(parent)?.field_by_name(field) }
    }
}
