//! The schema as a promise: the committed file is what is served, everything is described, names follow one rule, every
//! root field says who may call it, and what is published can be read.

mod commands;
mod errors;
mod names;
mod published;

use async_graphql::{
    Positioned,
    parser::{
        parse_schema,
        types::{
            ConstDirective, EnumValueDefinition, FieldDefinition, InputValueDefinition, ServiceDocument,
            TypeDefinition, TypeKind, TypeSystemDefinition,
        },
    },
};
use loquent::graphql::roots::{schema_builder, sdl};
use serde_json::Value;

const ROOTS: [&str; 3] = ["Query", "Mutation", "Subscription"];

fn document() -> ServiceDocument {
    parse_schema(sdl()).expect("the schema is valid GraphQL")
}

/// The types of the schema.
pub fn types() -> Vec<TypeDefinition> {
    let types = document().definitions.into_iter().filter_map(|definition| match definition {
        TypeSystemDefinition::Type(definition) => Some(definition.node),
        _ => None,
    });
    types.collect()
}

/// Fields of an object or interface.
pub fn fields(kind: &TypeKind) -> &[Positioned<FieldDefinition>] {
    match kind {
        TypeKind::Object(object) => &object.fields,
        TypeKind::Interface(interface) => &interface.fields,
        _ => &[],
    }
}

fn input_fields(kind: &TypeKind) -> &[Positioned<InputValueDefinition>] {
    match kind {
        TypeKind::InputObject(input) => &input.fields,
        _ => &[],
    }
}

fn enum_values(kind: &TypeKind) -> &[Positioned<EnumValueDefinition>] {
    match kind {
        TypeKind::Enum(kind) => &kind.values,
        _ => &[],
    }
}

/// The name at the heart of a type, such as `Message` of `[Message!]!`.
pub fn base(ty: &impl ToString) -> String {
    ty.to_string().trim_matches(['[', ']', '!']).to_owned()
}

/// Everything that can be described or deprecated: its coordinate, its description and its directives.
fn places() -> Vec<(String, Option<String>, Vec<Positioned<ConstDirective>>)> {
    let text = |text: &Option<Positioned<String>>| text.as_ref().map(|text| text.node.clone());
    let mut places = Vec::new();
    for definition in types() {
        let name = definition.name.node.to_string();
        let mut note = |place: String, description, directives: &[_]| {
            places.push((place, text(description), directives.to_vec()));
        };
        note(name.clone(), &definition.description, &definition.directives);
        for field in fields(&definition.kind) {
            let place = format!("{name}.{}", field.node.name.node);
            for argument in &field.node.arguments {
                let argument = &argument.node;
                let place = format!("{place}({}:)", argument.name.node);
                note(place, &argument.description, &argument.directives);
            }
            note(place, &field.node.description, &field.node.directives);
        }
        for field in input_fields(&definition.kind) {
            let place = format!("{name}.{}", field.node.name.node);
            note(place, &field.node.description, &field.node.directives);
        }
        for value in enum_values(&definition.kind) {
            let place = format!("{name}.{}", value.node.value.node);
            note(place, &value.node.description, &value.node.directives);
        }
    }
    places
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
    let places = places();
    let is_silent = |text: &Option<String>| text.as_deref().is_none_or(|text| text.trim().is_empty());
    let silent: Vec<_> = places.iter().filter(|(_, text, _)| is_silent(text)).collect();
    assert!(silent.is_empty(), "without a description: {silent:?}");
    assert!(places.len() > 350, "only {} places were looked at", places.len());
}

/// The export leaves the descriptions of these arguments out; introspection has them.
#[tokio::test]
async fn every_directive_and_its_arguments_are_described() {
    let schema = schema_builder().finish();
    let query = "{ __schema { directives { name description args { name description } } } }";
    let data = schema.execute(query).await.data.into_json().unwrap();
    let is_silent = |thing: &Value| thing["description"].as_str().is_none_or(str::is_empty);
    let mut ours = 0;
    for directive in data["__schema"]["directives"].as_array().unwrap() {
        // The engine says nothing of the arguments of its own.
        let is_ours = ["access", "semanticNonNull"].contains(&directive["name"].as_str().unwrap());
        ours += usize::from(is_ours);
        assert!(!is_silent(directive), "{directive}");
        let arguments = directive["args"].as_array().unwrap();
        assert!(!is_ours || !arguments.iter().any(is_silent), "{directive}");
    }
    assert_eq!(ours, 2);
}

#[test]
fn what_is_deprecated_names_its_replacement_and_its_last_day() {
    for (place, _, directives) in places() {
        for directive in directives.iter().filter(|directive| directive.node.name.node == "deprecated") {
            let reason = directive.node.get_argument("reason").map(|reason| reason.node.to_string());
            let reason = reason.unwrap_or_default();
            let is_complete = reason.contains("Use `") && reason.contains("Removed after 20");
            assert!(is_complete, "{place} must say `Use ….` and `Removed after ….`: {reason}");
        }
    }
}

#[test]
fn every_scalar_of_ours_with_a_specification_links_it() {
    let linked: Vec<String> = types()
        .iter()
        .filter(|definition| matches!(definition.kind, TypeKind::Scalar))
        .filter(|definition| definition.directives.iter().any(|used| used.node.name.node == "specifiedBy"))
        .map(|definition| definition.name.node.to_string())
        .collect();
    // `Decimal` has no text to link: its description is the specification.
    assert_eq!(linked, ["CurrencyCode", "DateTime", "EmailAddress", "JSON"]);
}

#[test]
fn every_root_field_says_who_may_call_it() {
    let mut seen = 0;
    for definition in types().iter().filter(|definition| ROOTS.contains(&definition.name.node.as_str())) {
        for field in fields(&definition.kind) {
            seen += 1;
            let directives = &field.node.directives;
            let is_declared = directives.iter().any(|directive| directive.node.name.node == "access");
            assert!(is_declared, "{} is closed to everybody: it has no @access", field.node.name.node);
        }
    }
    assert_eq!(seen, 32, "the number of root fields changed: is the new one in the stranger sweep?");
}
