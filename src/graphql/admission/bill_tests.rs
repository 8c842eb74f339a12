//! What answers cost, over the real schema and without execution.

use async_graphql::{Value, Variables, parser::parse_query};
use serde_json::{Value as Json, json};

use super::{
    bill::Bill,
    cost::Pricing,
    cost_tests::{only_operation, registry},
    selection::Selections,
};

/// Points of the only operation of a document, and of this answer to it.
fn bill(root: &str, text: &str, variables: Json, answer: Json) -> (u64, u64) {
    let (registry, document) = (registry(), parse_query(text).unwrap());
    let operation = only_operation(&document);
    let pricing = Pricing {
        selections: Selections { registry: &registry, document: &document },
        definitions: &operation.variable_definitions,
        variables: &Variables::from_json(variables),
    };
    let bill = Bill::new(&pricing, root, &operation.selection_set.node);
    (bill.requested(), bill.actual(&Value::from_json(answer).unwrap()))
}

fn of_query(text: &str, answer: Json) -> (u64, u64) {
    bill("Query", text, json!({}), answer)
}

#[test]
fn a_page_counts_for_what_it_held_and_so_does_a_page_within() {
    let text = "{ viewer { account { conversations(first: 20) { nodes { messages(last: 5) { nodes { text } } } } } } }";
    let page = |conversations: Vec<Json>| json!({ "viewer": { "account": { "conversations": { "nodes": conversations } } } });
    let conversation =
        |messages: usize| json!({ "messages": { "nodes": vec![json!({ "text": "x" }); messages] } });
    assert_eq!(of_query(text, page(Vec::new())), (143, 3));
    // A conversation, its page and its messages.
    assert_eq!(of_query(text, page(vec![conversation(2), conversation(0)])), (143, 3 + 4 + 2));
    assert_eq!(of_query(text, page(vec![conversation(5); 20])), (143, 143));
    // What cannot be is not believed.
    assert_eq!(of_query(text, page(vec![conversation(50); 20])), (143, 143));
}

#[test]
fn edges_count_with_their_nodes() {
    let text = "{ viewer { account { conversations(first: 5) { edges { cursor node { id } } pageInfo { endCursor } } } } }";
    let edge = json!({ "cursor": "c", "node": { "id": "1" } });
    let answer = json!({ "viewer": { "account": { "conversations": { "edges": [edge, edge], "pageInfo": { "endCursor": "c" } } } } });
    assert_eq!(of_query(text, answer), (14, 8));
}

#[test]
fn null_costs_its_own_weight_and_what_was_left_out_or_would_be_below_nothing() {
    let text = "query($yes: Boolean = false) { viewer { user { id } account @include(if: $yes) { plan { key } } session { id } } }";
    assert_eq!(of_query(text, json!({ "viewer": null })), (5, 1));
    assert_eq!(of_query(text, json!(null)), (5, 1));
    assert_eq!(of_query(text, json!({ "viewer": { "user": { "id": "1" }, "session": null } })), (5, 3));
}

#[test]
fn fragments_and_aliases_count_where_their_answers_are() {
    let text = "{ a: viewer { ...V } b: viewer { ...V } } fragment V on Viewer { me: user { id } account { plan { key } } }";
    let viewer = json!({ "me": { "id": "1" }, "account": { "plan": null } });
    assert_eq!(of_query(text, json!({ "a": viewer, "b": null })), (8, 5));
    assert_eq!(of_query(text, json!({ "a": viewer, "b": viewer })), (8, 8));
    // Twice the same is twice the work.
    let text = "{ viewer { ...V ...V } } fragment V on Viewer { session { id } }";
    assert_eq!(of_query(text, json!({ "viewer": { "session": { "id": "1" } } })), (3, 3));
    // A page through a fragment, and a fragment on what the object is not.
    let text = "{ node(id: 1) { ... on Message { author { id } } ... on Conversation { messages { ...P } } } } \
                fragment P on MessageConnection { nodes { author { id } } }";
    let page = json!({ "messages": { "nodes": [{ "author": { "id": "1" } }, { "author": null }] } });
    assert_eq!(of_query(text, json!({ "node": page })), (1 + 1 + 51, 1 + 1 + 2 + 2));
}

#[test]
fn a_list_without_pages_counts_once_as_in_the_price() {
    let text = "{ models { key prices { per } } }";
    assert_eq!(of_query(text, json!({ "models": [] })), (2, 1));
    let (cheap, dear) =
        (json!({ "key": "a", "prices": [] }), json!({ "key": "b", "prices": [{ "per": 1 }, { "per": 2 }] }));
    assert_eq!(of_query(text, json!({ "models": [cheap] })), (2, 1));
    assert_eq!(of_query(text, json!({ "models": [cheap, dear, dear] })), (2, 2));
}

#[test]
fn objects_named_by_their_ids_count_whether_they_are_there_or_not() {
    let text = "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Message { author { id } } } }";
    let answer = json!({ "nodes": [{ "id": "1", "author": { "id": "2" } }, null, { "id": "3" }] });
    assert_eq!(bill("Query", text, json!({ "ids": ["1", "2", "3"] }), answer), (6, 4));
}

#[test]
fn a_mutation_costs_what_it_returned() {
    let text = "mutation { sendMessage(input: {}) { assistantMessage { id } userErrors { code } } }";
    let answer = json!({ "sendMessage": { "assistantMessage": null, "userErrors": [{ "code": "X" }] } });
    assert_eq!(bill("Mutation", text, json!({}), answer), (12, 12));
}

#[test]
fn the_schema_costs_what_it_always_does() {
    let answer = json!({ "__schema": { "types": [{ "name": "A" }, { "name": "B" }] } });
    assert_eq!(of_query("{ __schema { types { name } } }", answer), (10, 10));
    assert_eq!(of_query("{ __typename }", json!({ "__typename": "Query" })), (0, 0));
}
