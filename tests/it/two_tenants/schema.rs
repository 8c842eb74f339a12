//! What the schema takes: the places of ids, and values that fit.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::parser::{
    parse_schema,
    types::{InputValueDefinition, TypeKind, TypeSystemDefinition},
};
use loquent::graphql::roots::sdl;
use uuid::Uuid;

use super::cases::CASES;

/// The definitions of the schema by name.
pub struct Schema(pub BTreeMap<String, TypeKind>);

impl Schema {
    pub fn read() -> Self {
        let definitions = parse_schema(sdl()).unwrap().definitions.into_iter();
        Self(
            definitions
                .filter_map(|definition| match definition {
                    TypeSystemDefinition::Type(definition) => {
                        Some((definition.node.name.node.to_string(), definition.node.kind))
                    }
                    _ => None,
                })
                .collect(),
        )
    }

    /// Every place that takes an id, such as `Mutation.sendMessage(input.accountId)`.
    pub fn places(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (name, kind) in &self.0 {
            let fields = match kind {
                TypeKind::Object(object) => &object.fields,
                TypeKind::Interface(interface) => &interface.fields,
                _ => continue,
            };
            for field in fields {
                for argument in &field.node.arguments {
                    let mut paths = Vec::new();
                    self.find_ids(&argument.node, String::new(), 0, &mut paths);
                    found.extend(paths.iter().map(|path| format!("{name}.{}({path})", field.node.name.node)));
                }
            }
        }
        found
    }

    fn find_ids(&self, value: &InputValueDefinition, path: String, depth: usize, found: &mut Vec<String>) {
        assert!(depth < 8, "inputs nest without end at {path}");
        let path = format!("{path}{}", value.name.node);
        match base(value) {
            name if name == "ID" => found.push(path),
            name => {
                if let Some(TypeKind::InputObject(input)) = self.0.get(&name) {
                    for field in &input.fields {
                        self.find_ids(&field.node, format!("{path}."), depth + 1, found);
                    }
                }
            }
        }
    }

    /// A literal that fits the type, with what is required only. `place` is where the value stands, as cases name it.
    pub fn literal(&self, value: &InputValueDefinition, place: &str) -> String {
        let text = value.ty.node.to_string();
        let place = format!("{place}{}", value.name.node);
        let literal = match base(value).as_str() {
            "Int" | "Float" => "1".to_owned(),
            "Boolean" => "true".to_owned(),
            "ID" => {
                let case = CASES.iter().find(|case| case.place.trim_end_matches(')') == place).unwrap();
                format!("\"{}\"", case.kind.name(Uuid::now_v7()))
            }
            "EmailAddress" => "\"ada@example.com\"".to_owned(),
            "Decimal" => "\"1\"".to_owned(),
            name => match self.0.get(name) {
                Some(TypeKind::InputObject(input)) => {
                    let has_required = input.fields.iter().any(|field| is_required(&field.node));
                    let fields =
                        input.fields.iter().enumerate().filter(|(index, field)| {
                            is_required(&field.node) || (!has_required && *index == 0)
                        });
                    let fields: Vec<String> = fields
                        .map(|(_, field)| {
                            format!(
                                "{}: {}",
                                field.node.name.node,
                                self.literal(&field.node, &format!("{place}."))
                            )
                        })
                        .collect();
                    format!("{{ {} }}", fields.join(", "))
                }
                _ => "\"something\"".to_owned(),
            },
        };
        if text.starts_with('[') { format!("[{literal}]") } else { literal }
    }
}

fn base(value: &InputValueDefinition) -> String {
    value.ty.node.to_string().trim_matches(['[', ']', '!']).to_owned()
}

pub fn is_required(value: &InputValueDefinition) -> bool {
    value.ty.node.to_string().ends_with('!') && value.default_value.is_none()
}
