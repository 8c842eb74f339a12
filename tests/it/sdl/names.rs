//! Names follow one rule each, so that a client can guess them.

use std::collections::BTreeMap;

use async_graphql::parser::types::{FieldDefinition, TypeKind};

use super::{ROOTS, base, enum_values, fields, input_fields, types};

/// Every named value of the schema: where it stands, its name and its type.
fn values() -> Vec<(String, String, String)> {
    let mut values = Vec::new();
    for definition in types() {
        let owner = definition.name.node.to_string();
        for field in fields(&definition.kind) {
            let field = &field.node;
            for argument in &field.arguments {
                let place = format!("{owner}.{}({}:)", field.name.node, argument.node.name.node);
                values.push((place, argument.node.name.node.to_string(), argument.node.ty.node.to_string()));
            }
            let name = field.name.node.to_string();
            values.push((format!("{owner}.{name}"), name, field.ty.node.to_string()));
        }
        for field in input_fields(&definition.kind) {
            let name = field.node.name.node.to_string();
            values.push((format!("{owner}.{name}"), name, field.node.ty.node.to_string()));
        }
    }
    values
}

fn is_pascal(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase()) && !name.contains('_')
}

fn is_camel(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase()) && !name.contains('_')
}

fn is_screaming(name: &str) -> bool {
    name.chars().all(|char| char.is_ascii_uppercase() || char.is_ascii_digit() || char == '_')
}

#[test]
fn types_fields_and_enum_values_are_written_alike() {
    for definition in types() {
        let name = definition.name.node.as_str();
        assert!(is_pascal(name), "{name}");
        assert!(
            !matches!(definition.kind, TypeKind::InputObject(_))
                || name.ends_with("Input")
                || name.ends_with("Filter"),
            "{name}"
        );
        for value in enum_values(&definition.kind) {
            let value = value.node.value.node.as_str();
            assert!(is_screaming(value) && value != "UNKNOWN", "{name}.{value}");
        }
    }
    for (place, name, _) in values() {
        assert!(is_camel(&name), "{place}");
    }
}

#[test]
fn names_tell_booleans_times_and_ids() {
    // Relay's own name for pages, and an adverb that reads better than any `is`.
    const BOOLEANS: [&str; 1] = ["SignOutInput.everywhere"];
    let ids = |name: &str| name == "id" || name == "ids" || name.ends_with("Id") || name.ends_with("Ids");
    for (place, name, ty) in values() {
        match base(&ty).as_str() {
            "Boolean" => {
                let is_told = ["is", "has", "can"].iter().any(|prefix| {
                    let rest = name.strip_prefix(prefix);
                    rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()))
                });
                assert!(is_told || BOOLEANS.contains(&place.as_str()), "{place}: {ty}");
            }
            "DateTime" => assert!(name.ends_with("At"), "{place}: {ty}"),
            "ID" => assert!(ids(&name), "{place}: {ty}"),
            _ => assert!(!ids(&name) && !name.ends_with("At"), "{place}: {ty}"),
        }
    }
}

#[test]
fn connections_have_edges_nodes_and_their_place() {
    let types = types();
    let shape = |name: &str| -> BTreeMap<String, String> {
        let found = types.iter().find(|definition| definition.name.node == name).unwrap();
        let pair = |field: &FieldDefinition| (field.name.node.to_string(), field.ty.node.to_string());
        fields(&found.kind).iter().map(|field| pair(&field.node)).collect()
    };
    let connections = types.iter().filter_map(|definition| definition.name.node.strip_suffix("Connection"));
    let mut seen = 0;
    for name in connections {
        seen += 1;
        let connection = shape(&format!("{name}Connection"));
        assert_eq!(connection["edges"], format!("[{name}Edge!]!"));
        assert_eq!(connection["nodes"], format!("[{name}!]!"));
        assert_eq!(connection["pageInfo"], "PageInfo!");
        let edge = shape(&format!("{name}Edge"));
        assert_eq!((edge["node"].as_str(), edge["cursor"].as_str()), (&*format!("{name}!"), "String!"));
    }
    assert_eq!(seen, 3);
}

#[test]
fn every_mutation_takes_one_input_and_gives_a_payload_with_user_errors() {
    let types = types();
    let kinds: BTreeMap<&str, &TypeKind> =
        types.iter().map(|definition| (definition.name.node.as_str(), &definition.kind)).collect();
    for field in fields(kinds["Mutation"]) {
        let name = field.node.name.node.as_str();
        let [input] = field.node.arguments.as_slice() else { panic!("{name} takes more than `input`") };
        assert_eq!(input.node.name.node, "input", "{name}");
        assert!(input.node.ty.node.to_string().ends_with("Input!"), "{name}");
        let payload = field.node.ty.node.to_string();
        assert!(payload.ends_with("Payload!"), "{name}: {payload}");
        let payload = fields(kinds[base(&payload).as_str()]);
        let errors = payload.iter().find(|field| field.node.name.node == "userErrors");
        assert_eq!(
            errors.map(|field| field.node.ty.node.to_string()).as_deref(),
            Some("[UserError!]!"),
            "{name}"
        );
    }
}

#[test]
fn an_object_with_an_id_is_a_node() {
    for definition in types().iter().filter(|definition| !ROOTS.contains(&definition.name.node.as_str())) {
        let TypeKind::Object(object) = &definition.kind else { continue };
        let has_id = object.fields.iter().any(|field| field.node.name.node == "id");
        let is_node = object.implements.iter().any(|interface| interface.node == "Node");
        assert_eq!(has_id, is_node, "{}", definition.name.node);
    }
}
