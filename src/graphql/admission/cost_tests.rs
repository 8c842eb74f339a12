//! Prices over the real schema, without validation or execution.

use async_graphql::{
    OutputType, SubscriptionType, Variables,
    parser::{
        parse_query,
        types::{ExecutableDocument, OperationDefinition},
    },
    registry::{MetaType, MetaTypeName, Registry},
};
use serde_json::json;

use super::{
    bill::Bill,
    cost::{FieldCost, Pricing, weight},
    selection::Selections,
};
use crate::graphql::roots::{Mutation, Query, Subscription};

pub fn registry() -> Registry {
    let mut registry = Registry::default();
    Query::create_type_info(&mut registry);
    Mutation::create_type_info(&mut registry);
    Subscription::create_type_info(&mut registry);
    registry
}

pub fn only_operation(document: &ExecutableDocument) -> &OperationDefinition {
    let (_, operation) = document.operations.iter().next().unwrap();
    &operation.node
}

/// The only operation of a document, on the type `root`.
fn price(registry: &Registry, root: &str, text: &str, variables: serde_json::Value) -> (u64, Vec<FieldCost>) {
    let document = parse_query(text).unwrap();
    let operation = only_operation(&document);
    let pricing = Pricing {
        selections: Selections { registry, document: &document },
        definitions: &operation.variable_definitions,
        variables: &Variables::from_json(variables),
    };
    let set = &operation.selection_set.node;
    (Bill::new(&pricing, root, set).requested(), pricing.itemize(root, set))
}

fn of_query(text: &str, variables: serde_json::Value) -> u64 {
    price(&registry(), "Query", text, variables).0
}

#[test]
fn an_object_costs_a_point_and_a_page_its_items() {
    let none = json!({});
    for (points, text) in [
        (0, "{ __typename }"),
        (10, "{ __schema { types { name fields { name } } } }"),
        (1, "{ models { key name } }"),
        (2, "{ models { key prices { per } } }"),
        (3, "{ viewer { user { id name } account { id } } }"),
        // A connection, and 25 items when nothing is said.
        (28, "{ viewer { account { conversations { nodes { id } } } } }"),
        (8, "{ viewer { account { conversations(first: 5) { nodes { id } } } } }"),
        (
            14,
            "{ viewer { account { conversations(first: 5) { edges { cursor node { id } } pageInfo { endCursor } } } } }",
        ),
        (3, "{ viewer { account { conversations(first: 0) { nodes { id } } } } }"),
        // 20 times (a conversation, its page, 5 messages).
        (
            143,
            "{ viewer { account { conversations(first: 20) { nodes { messages(last: 5) { nodes { text } } } } } } }",
        ),
        // Not more than a page ever has, whatever is asked for.
        (102, "{ conversation(id: 1) { messages(first: 2147483647) { nodes { id } } } }"),
        // Each time it is asked for, through whichever fragment.
        (4, "{ a: viewer { user { id } } b: viewer { user { id } } }"),
        (7, "{ viewer { ...A ...A } } fragment A on Viewer { account { plan { key } } session { id } }"),
        (
            52,
            "{ conversation(id: 1) { messages { ...Page } } } fragment Page on MessageConnection { nodes { author { id } } }",
        ),
        (
            3,
            "{ message(id: 1) { parts { ... on TextPart { text } ... on ReasoningPart { text } } author { id } } }",
        ),
    ] {
        assert_eq!(of_query(text, none.clone()), points, "{text}");
    }
}

#[test]
fn a_page_is_as_long_as_its_variable_says() {
    let text = "query($n: Int = 7) { conversation(id: 1) { messages(first: $n) { nodes { id } } } }";
    for (variables, points) in [(json!({ "n": 40 }), 42), (json!({}), 9), (json!({ "n": null }), 27)] {
        assert_eq!(of_query(text, variables.clone()), points, "{variables}");
    }
}

#[test]
fn objects_named_by_their_ids_count_each() {
    assert_eq!(of_query("{ nodes(ids: [1, 2, 3]) { id ... on Message { author { id } } } }", json!({})), 6);
    assert_eq!(of_query("{ nodes(ids: 1) { id } }", json!({})), 1);
    let text = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    assert_eq!(of_query(text, json!({ "ids": ["a", "b"] })), 2);
}

#[test]
fn a_mutation_that_starts_a_generation_costs_ten() {
    let text = "mutation { sendMessage(input: {}) { assistantMessage { id } userErrors { code } } }";
    assert_eq!(price(&registry(), "Mutation", text, json!({})).0, 12);
}

#[test]
fn the_items_are_the_total_and_the_costliest_is_first() {
    let text = "{ viewer { account { conversations(first: 20) { nodes { messages(last: 5) { nodes { author { id } } } } } } } }";
    let (total, fields) = price(&registry(), "Query", text, json!({}));
    let items: Vec<(&str, u64)> =
        fields.iter().map(|field| (field.coordinate.as_str(), field.points)).collect();
    let expected = [
        ("Conversation.messages", 120),
        ("Message.author", 100),
        ("Account.conversations", 21),
        ("Query.viewer", 1),
        ("Viewer.account", 1),
    ];
    assert_eq!(items, expected);
    assert_eq!(total, items.iter().map(|(_, points)| points).sum::<u64>());
}

#[test]
fn nested_pages_multiply_without_overflow() {
    let deep = |depth: usize| {
        let open = "parent { conversation { messages(first: 100) { nodes { ".repeat(depth);
        format!("{{ message(id: 1) {{ {open} id {} }} }}", "} } } }".repeat(depth))
    };
    assert_eq!(of_query(&deep(1), json!({})), 104);
    assert_eq!(of_query(&deep(11), json!({})), u64::MAX);
}

#[test]
fn every_mutation_has_a_price_and_every_page_one_that_grows_evenly() {
    let registry = registry();
    let mutations = registry.types.get("Mutation").and_then(MetaType::fields).unwrap();
    for field in mutations.values() {
        assert!((1..=100).contains(&weight(&registry, field)), "{}", field.name);
    }
    let mut pages = 0;
    for (name, kind) in &registry.types {
        for field in kind.fields().into_iter().flat_map(|fields| fields.values()) {
            for directive in field.directive_invocations.iter().filter(|one| one.name == "cost") {
                let weight = directive.args.get("weight").and_then(|weight| match weight {
                    async_graphql::Value::String(weight) => weight.parse::<u64>().ok(),
                    _ => None,
                });
                assert!(weight.is_some(), "{name}.{}: {directive:?}", field.name);
            }
            let is_page = MetaTypeName::concrete_typename(&field.ty).ends_with("Connection");
            let sizes: Vec<&str> =
                ["first", "last"].into_iter().filter(|size| field.args.contains_key(*size)).collect();
            assert_eq!(
                is_page,
                !sizes.is_empty(),
                "{name}.{} has pages without a size, or a size without pages",
                field.name
            );
            for size in sizes {
                let text = |n| {
                    format!(
                        "{{ {}({size}: {n}) {{ nodes {{ id }} edges {{ node {{ id }} }} }} }}",
                        field.name
                    )
                };
                let points = |n| price(&registry, name, &text(n), json!({})).0;
                let one_more = points(2) - points(1);
                assert_eq!(one_more, 3, "{name}.{}", field.name);
                for n in [1, 10, 99] {
                    assert_eq!(points(n + 1) - points(n), one_more, "{name}.{} at {n}", field.name);
                }
                pages += 1;
            }
        }
    }
    assert!(pages >= 4, "only {pages} pages were found");
}
