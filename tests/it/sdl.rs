//! The schema as a promise: the committed file is what is served, everything is described, every root field says who may
//! call it.

use async_graphql::parser::{
    parse_schema,
    types::{FieldDefinition, ServiceDocument, TypeKind, TypeSystemDefinition},
};
use loquent::graphql::roots::sdl;

fn document() -> ServiceDocument {
    parse_schema(sdl()).expect("the schema is valid GraphQL")
}

#[test]
fn the_committed_schema_is_the_served_one() {
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql")).unwrap();
    assert!(
        file == sdl(),
        "schema.graphql is not what is served: run `loquent schema export > schema.graphql`"
    );
}

#[test]
fn everything_is_described() {
    let mut silent = Vec::new();
    let mut seen = 0;
    let mut note = |place: String, has_description: bool| {
        seen += 1;
        if !has_description {
            silent.push(place);
        }
    };
    for definition in document().definitions {
        let TypeSystemDefinition::Type(definition) = definition else { continue };
        let name = definition.node.name.node.to_string();
        // The roots are described by their fields.
        let is_root = ["Query", "Mutation", "Subscription"].contains(&name.as_str());
        note(name.clone(), is_root || definition.node.description.is_some());
        let mut fields = |fields: &[async_graphql::Positioned<FieldDefinition>]| {
            for field in fields {
                let place = format!("{name}.{}", field.node.name.node);
                for argument in &field.node.arguments {
                    note(
                        format!("{place}({})", argument.node.name.node),
                        argument.node.description.is_some(),
                    );
                }
                note(place, field.node.description.is_some());
            }
        };
        match &definition.node.kind {
            TypeKind::Object(object) => fields(&object.fields),
            TypeKind::Interface(interface) => fields(&interface.fields),
            TypeKind::Enum(kind) => {
                for value in &kind.values {
                    note(format!("{name}.{}", value.node.value.node), value.node.description.is_some());
                }
            }
            TypeKind::InputObject(input) => {
                for field in &input.fields {
                    note(format!("{name}.{}", field.node.name.node), field.node.description.is_some());
                }
            }
            TypeKind::Scalar | TypeKind::Union(_) => {}
        }
    }
    assert!(silent.is_empty(), "without a description: {silent:?}");
    assert!(seen > 200, "only {seen} places were looked at");
}

#[test]
fn every_root_field_says_who_may_call_it() {
    let mut seen = 0;
    for definition in document().definitions {
        let TypeSystemDefinition::Type(definition) = definition else { continue };
        let TypeKind::Object(object) = &definition.node.kind else { continue };
        let is_root = ["Query", "Mutation", "Subscription"].contains(&definition.node.name.node.as_str());
        for field in object.fields.iter().filter(|_| is_root) {
            seen += 1;
            let directives = &field.node.directives;
            let is_declared = directives.iter().any(|directive| directive.node.name.node == "access");
            assert!(is_declared, "{} is closed to everybody: it has no @access", field.node.name.node);
        }
    }
    assert_eq!(seen, 16, "the number of root fields changed: is the new one in the stranger sweep?");
}

#[test]
fn every_mutation_payload_has_user_errors() {
    let document = document();
    let types: std::collections::HashMap<String, TypeKind> = document
        .definitions
        .into_iter()
        .filter_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) => {
                Some((definition.node.name.node.to_string(), definition.node.kind))
            }
            _ => None,
        })
        .collect();
    let Some(TypeKind::Object(mutation)) = types.get("Mutation") else { panic!("no mutations") };
    for field in &mutation.fields {
        let name = field.node.ty.node.to_string();
        let Some(TypeKind::Object(payload)) = types.get(name.trim_end_matches('!')) else {
            panic!("{} returns no object", field.node.name.node)
        };
        assert!(
            payload.fields.iter().any(|field| field.node.name.node == "userErrors"),
            "{name} has no userErrors"
        );
    }
}
