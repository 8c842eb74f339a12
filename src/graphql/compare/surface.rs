//! A schema as the flat list of what clients can name.

use std::collections::BTreeMap;

use async_graphql::{
    Name, Positioned, Value,
    parser::{
        self, parse_schema,
        types::{
            ConstDirective, DirectiveDefinition, DirectiveLocation, FieldDefinition, InputValueDefinition,
            Type, TypeDefinition, TypeKind, TypeSystemDefinition,
        },
    },
};

/// Everything in a schema that a client can name or meet, by coordinate.
#[derive(Debug, Default)]
pub struct Surface(BTreeMap<String, Element>);

/// One thing with what it hangs on.
#[derive(Debug)]
pub(super) struct Element {
    /// Coordinate of the thing that this one is part of.
    pub(super) parent: Option<String>,
    pub(super) kind: Kind,
}

#[derive(Debug, PartialEq)]
pub(super) enum Kind {
    /// Of this sort, such as `object`; an input object may want exactly one of its fields.
    Type {
        sort: &'static str,
        is_one_of: bool,
    },
    /// Of an object or interface, with the level that `@access` declares.
    Field {
        ty: Type,
        access: Option<String>,
    },
    /// An argument or a field of an input object.
    Input {
        ty: Type,
        default: Option<String>,
    },
    EnumValue,
    /// A type is one of those an interface or union stands for.
    Member,
    /// For documents; those of the schema language are no concern of clients.
    Directive,
}

impl Surface {
    /// Reads a schema in its definition language; extensions are laid over what they extend.
    ///
    /// # Errors
    /// When it is not one.
    pub fn parse(sdl: &str) -> Result<Self, parser::Error> {
        let mut surface = Self::default();
        for definition in parse_schema(sdl)?.definitions {
            match definition {
                TypeSystemDefinition::Type(definition) => surface.add_type(&definition.node),
                TypeSystemDefinition::Directive(definition) => surface.add_directive(&definition.node),
                TypeSystemDefinition::Schema(_) => {}
            }
        }
        Ok(surface)
    }

    pub(super) fn get(&self, coordinate: &str) -> Option<&Element> {
        self.0.get(coordinate)
    }

    pub(super) fn elements(&self) -> impl Iterator<Item = (&str, &Element)> {
        self.0.iter().map(|(coordinate, element)| (coordinate.as_str(), element))
    }

    fn add(&mut self, coordinate: String, parent: Option<&str>, kind: Kind) {
        self.0.insert(coordinate, Element { parent: parent.map(str::to_owned), kind });
    }

    fn add_type(&mut self, definition: &TypeDefinition) {
        let name = definition.name.node.as_str();
        let sort = match &definition.kind {
            TypeKind::Scalar => "scalar",
            TypeKind::Object(_) => "object",
            TypeKind::Interface(_) => "interface",
            TypeKind::Union(_) => "union",
            TypeKind::Enum(_) => "enum",
            TypeKind::InputObject(_) => "input object",
        };
        if !definition.extend {
            let is_one_of = argument_of(&definition.directives, "oneOf", "").is_some();
            self.add(name.to_owned(), None, Kind::Type { sort, is_one_of });
        }
        match &definition.kind {
            TypeKind::Scalar => {}
            TypeKind::Object(object) => {
                self.add_members(name, "implements", &object.implements);
                self.add_fields(name, &object.fields);
            }
            TypeKind::Interface(interface) => {
                self.add_members(name, "implements", &interface.implements);
                self.add_fields(name, &interface.fields);
            }
            TypeKind::Union(union) => self.add_members(name, "contains", &union.members),
            TypeKind::Enum(kind) => {
                for value in &kind.values {
                    self.add(format!("{name}.{}", value.node.value.node), Some(name), Kind::EnumValue);
                }
            }
            TypeKind::InputObject(input) => {
                for field in &input.fields {
                    self.add_input(format!("{name}.{}", field.node.name.node), name, &field.node);
                }
            }
        }
    }

    fn add_members(&mut self, name: &str, verb: &str, members: &[Positioned<Name>]) {
        for member in members {
            self.add(format!("{name} {verb} {}", member.node), Some(name), Kind::Member);
        }
    }

    fn add_fields(&mut self, name: &str, fields: &[Positioned<FieldDefinition>]) {
        for field in fields {
            let coordinate = format!("{name}.{}", field.node.name.node);
            let access = argument_of(&field.node.directives, "access", "level").flatten();
            let kind = Kind::Field { ty: field.node.ty.node.clone(), access };
            self.add(coordinate.clone(), Some(name), kind);
            self.add_arguments(&coordinate, &field.node.arguments);
        }
    }

    fn add_directive(&mut self, definition: &DirectiveDefinition) {
        use DirectiveLocation as Location;
        let name = definition.name.node.as_str();
        let is_for_documents = definition.locations.iter().any(|location| {
            matches!(
                location.node,
                Location::Query
                    | Location::Mutation
                    | Location::Subscription
                    | Location::Field
                    | Location::FragmentDefinition
                    | Location::FragmentSpread
                    | Location::InlineFragment
                    | Location::VariableDefinition
            )
        });
        // Every server has these two, and a schema may leave them out.
        if is_for_documents && !["include", "skip"].contains(&name) {
            let coordinate = format!("@{name}");
            self.add(coordinate.clone(), None, Kind::Directive);
            self.add_arguments(&coordinate, &definition.arguments);
        }
    }

    fn add_arguments(&mut self, owner: &str, arguments: &[Positioned<InputValueDefinition>]) {
        for argument in arguments {
            self.add_input(format!("{owner}({}:)", argument.node.name.node), owner, &argument.node);
        }
    }

    fn add_input(&mut self, coordinate: String, owner: &str, value: &InputValueDefinition) {
        let default = value.default_value.as_ref().map(|default| default.node.to_string());
        self.add(coordinate, Some(owner), Kind::Input { ty: value.ty.node.clone(), default });
    }
}

/// The argument of an applied directive: `None` when it is not applied, `Some(None)` without that argument.
fn argument_of(
    directives: &[Positioned<ConstDirective>],
    directive: &str,
    argument: &str,
) -> Option<Option<String>> {
    let applied = directives.iter().find(|applied| applied.node.name.node == directive)?;
    Some(applied.node.get_argument(argument).map(|value: &Positioned<Value>| value.node.to_string()))
}
