//! For each root field the largest document that the guard lets pass: all arguments that are required, all fields, the
//! fields of these, and so on. It is made from the schema, so a field that is added is asked for.

use std::fmt::Write;

use async_graphql::parser::types::{FieldDefinition, InputValueDefinition, TypeDefinition, TypeKind};
use loquent::graphql::guard::Limits;

use crate::sdl::{base, fields, types};

/// Levels that are tried at most; each is an object in an object.
const DEEPEST: usize = 8;
/// Items of a list that is not within another: far more than at ten rows.
const PAGE: usize = 50;
/// Items of a list that is in another.
const INNER_PAGE: usize = 2;

/// A root field and its document.
pub struct Document {
    /// Such as `query viewer`.
    pub name: String,
    pub text: String,
    /// How deep it goes.
    pub levels: usize,
}

/// One document for each root field of the schema, in the order of their names.
pub fn documents() -> Vec<Document> {
    let types = types();
    let mut documents = Vec::new();
    for root in ["Query", "Mutation", "Subscription"] {
        let root = types.iter().find(|definition| definition.name.node == root).unwrap();
        for field in fields(&root.kind) {
            documents.push(document(&types, &root.name.node.to_lowercase(), &field.node));
        }
    }
    documents.sort_by(|one, other| one.name.cmp(&other.name));
    documents
}

/// The deepest that the guard admits.
fn document(types: &[TypeDefinition], operation: &str, field: &FieldDefinition) -> Document {
    let most = usize::try_from(Limits::default().selections).unwrap();
    let admitted = (1..=DEEPEST).rev().find_map(|levels| {
        let mut writer = Writer { types, levels, text: String::new(), selections: 0 };
        writer.root(operation, field);
        (writer.selections <= most).then_some((levels, writer.text))
    });
    let (levels, text) = admitted.unwrap_or_else(|| panic!("{} has too many fields", field.name.node));
    Document { name: format!("{operation} {}", field.name.node), text, levels }
}

struct Writer<'t> {
    types: &'t [TypeDefinition],
    levels: usize,
    text: String,
    selections: usize,
}

impl Writer<'_> {
    fn root(&mut self, operation: &str, field: &FieldDefinition) {
        let required: Vec<&InputValueDefinition> = field
            .arguments
            .iter()
            .map(|argument| &argument.node)
            .filter(|value| is_required(value))
            .collect();
        let list = |write: &dyn Fn(&InputValueDefinition) -> String| {
            let texts: Vec<String> = required.iter().map(|value| write(value)).collect();
            if texts.is_empty() { String::new() } else { format!("({})", texts.join(", ")) }
        };
        let declared = list(&|value| format!("${}: {}", value.name.node, value.ty.node));
        let given = list(&|value| format!("{0}: ${0}", value.name.node));
        write!(self.text, "{operation}{declared} {{ {}{given} ", field.name.node).unwrap();
        self.selections += 1;
        let is_list = field.ty.node.to_string().starts_with('[');
        self.object(&base(&field.ty.node), &mut Vec::new(), is_list);
        self.text.push('}');
    }

    /// Braces and what is in them; nothing for a leaf.
    fn object(&mut self, name: &str, path: &mut Vec<String>, is_in_list: bool) {
        let Some(definition) = self.composite(name) else { return };
        let (name, kind) = (definition.name.node.to_string(), definition.kind.clone());
        let is_leaf = path.contains(&name) || path.len() >= self.levels;
        path.push(name.clone());
        self.text.push_str("{ ");
        match kind {
            TypeKind::Interface(_) => {
                self.select("__typename", "");
                for member in self.members(&name) {
                    write!(self.text, "... on {} ", member.name.node).unwrap();
                    self.selections += 1;
                    self.text.push_str("{ ");
                    // The same name means different things in different types.
                    let prefix = format!("{}_", member.name.node);
                    path.push(member.name.node.to_string());
                    self.fields(&member, &prefix, path, is_leaf, is_in_list);
                    path.pop();
                    self.text.push_str("} ");
                }
            }
            _ => self.fields(&definition, "", path, is_leaf, is_in_list),
        }
        self.text.push_str("} ");
        path.pop();
    }

    fn fields(
        &mut self,
        of: &TypeDefinition,
        prefix: &str,
        path: &mut Vec<String>,
        is_leaf: bool,
        is_in_list: bool,
    ) {
        let mut count = 0;
        for field in fields(&of.kind) {
            let (field, ty) = (&field.node, base(&field.node.ty.node));
            let is_composite = self.composite(&ty).is_some();
            // What an edge leads to is asked for among the nodes.
            let is_double = of.name.node.ends_with("Edge") && field.name.node == "node";
            if is_composite && (is_leaf || is_double) {
                continue;
            }
            let takes = |name: &str| field.arguments.iter().any(|argument| argument.node.name.node == name);
            let is_page = takes("first");
            let size = if is_in_list { INNER_PAGE } else { PAGE };
            // The newest, so that what has just been done is on every page, however long the list.
            let end = if takes("last") { "last" } else { "first" };
            let arguments = if is_page { format!("({end}: {size})") } else { String::new() };
            let key =
                if prefix.is_empty() { String::new() } else { format!("{prefix}{}: ", field.name.node) };
            self.select(&format!("{key}{}", field.name.node), &arguments);
            count += 1;
            if is_composite {
                let is_list = field.ty.node.to_string().starts_with('[');
                self.object(&ty, path, is_in_list || is_page || is_list);
            }
        }
        if count == 0 {
            self.select("__typename", "");
        }
    }

    fn select(&mut self, name: &str, arguments: &str) {
        self.selections += 1;
        write!(self.text, "{name}{arguments} ").unwrap();
    }

    fn composite(&self, name: &str) -> Option<TypeDefinition> {
        let is_it = |definition: &&TypeDefinition| {
            definition.name.node == name
                && matches!(definition.kind, TypeKind::Object(_) | TypeKind::Interface(_))
        };
        self.types.iter().find(is_it).cloned()
    }

    /// The objects that are of this interface.
    fn members(&self, interface: &str) -> Vec<TypeDefinition> {
        let is_member = |definition: &&TypeDefinition| match &definition.kind {
            TypeKind::Object(object) => object.implements.iter().any(|name| name.node == interface),
            _ => false,
        };
        self.types.iter().filter(is_member).cloned().collect()
    }
}

fn is_required(value: &InputValueDefinition) -> bool {
    value.ty.node.to_string().ends_with('!') && value.default_value.is_none()
}
