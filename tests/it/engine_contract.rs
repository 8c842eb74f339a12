//! What we rely on in the GraphQL engine, so that an upgrade that breaks it is noticed here and not by clients: where a
//! failed field becomes null, in which order keys come, how selections merge.

use async_graphql::{EmptySubscription, Object, Result, Schema, SimpleObject};
use loquent::graphql::extension::Rules;
use serde_json::{Value, json};

struct Query;

#[derive(Clone)]
struct Node;

#[derive(SimpleObject)]
struct Pair {
    a: i32,
    b: i32,
}

#[Object]
impl Query {
    async fn one(&self) -> i32 {
        1
    }
    async fn failing_nullable(&self) -> Result<Option<i32>> {
        Err("broken".into())
    }
    async fn failing(&self) -> Result<i32> {
        Err("broken".into())
    }
    async fn node(&self) -> Option<Node> {
        Some(Node)
    }
    async fn nodes(&self) -> Vec<Option<Node>> {
        vec![Some(Node), Some(Node)]
    }
    async fn pair(&self) -> Pair {
        Pair { a: 1, b: 2 }
    }
    /// Ends after the fields behind it.
    async fn slow(&self) -> i32 {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        0
    }
}

#[Object]
impl Node {
    async fn id(&self) -> i32 {
        7
    }
    async fn failing(&self) -> Result<i32> {
        Err("broken".into())
    }
    async fn failing_nullable(&self) -> Result<Option<i32>> {
        Err("broken".into())
    }
}

struct Mutation;

#[Object]
impl Mutation {
    async fn touch(&self, x: i32) -> i32 {
        x
    }
}

async fn run(query: &str) -> Value {
    let schema = Schema::build(Query, Mutation, EmptySubscription)
        .extension(Rules { admission: None, allowances: None })
        .finish();
    serde_json::to_value(schema.execute(query).await).unwrap()
}

#[tokio::test]
async fn a_failed_nullable_field_is_null_and_leaves_its_neighbours() {
    let answer = run("{ one failingNullable pair { a } }").await;
    assert_eq!(answer["data"], json!({ "one": 1, "failingNullable": null, "pair": { "a": 1 } }));
    assert_eq!(answer["errors"].as_array().unwrap().len(), 1);
    assert_eq!(answer["errors"][0]["path"], json!(["failingNullable"]));
}

#[tokio::test]
async fn a_failed_field_that_may_not_be_null_makes_its_parent_null() {
    assert_eq!(run("{ one failing }").await["data"], Value::Null);
    let answer = run("{ one node { id failing } }").await;
    assert_eq!(answer["data"], json!({ "one": 1, "node": null }));
    assert_eq!(answer["errors"].as_array().unwrap().len(), 1);
    let answer = run("{ node { id failingNullable } }").await;
    assert_eq!(answer["data"], json!({ "node": { "id": 7, "failingNullable": null } }));
}

#[tokio::test]
async fn a_failed_item_of_a_nullable_list_is_null() {
    let answer = run("{ one nodes { id failing } }").await;
    assert_eq!(answer["data"]["one"], 1, "{answer}");
    assert_eq!(answer["errors"][0]["path"][0], "nodes");
}

#[tokio::test]
async fn keys_come_in_the_order_of_the_document() {
    let schema = Schema::build(Query, Mutation, EmptySubscription)
        .extension(Rules { admission: None, allowances: None })
        .finish();
    let text = serde_json::to_string(&schema.execute("{ slow one z: one a: one }").await).unwrap();
    assert!(text.starts_with(r#"{"data":{"slow":0,"one":1,"z":1,"a":1}"#), "{text}");
}

#[tokio::test]
async fn overlapping_selections_merge() {
    let answer = run("{ pair { a } ... on Query { pair { b } } pair { a } }").await;
    assert_eq!(answer["data"], json!({ "pair": { "a": 1, "b": 2 } }));
}

#[test]
fn duplicate_root_keys_of_a_mutation_never_reach_the_engine() {
    let limits = loquent::graphql::guard::Limits::default();
    let refused = loquent::graphql::guard::check("mutation { touch(x: 1) touch(x: 1) }", None, &limits);
    assert!(refused.is_err());
    assert!(loquent::graphql::guard::check("mutation { touch(x: 1) b: touch(x: 1) }", None, &limits).is_ok());
}
