//! `node` and `nodes`: every object can be read again by its id, by those who may see it.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::parser::types::TypeKind;
use loquent::platform::ids::parse_any;
use serde_json::{Value, json};

use crate::{
    sdl::types,
    support::{app::TestApp, client::Client, provider::Script},
};

const OWN: &str = "{ models { __typename id } viewer { session { __typename id } user { __typename id }
    account { __typename id plan { __typename id } creditGrants { __typename id }
        ledger { nodes { __typename id subject { __typename id } } }
        conversations { nodes { __typename id messages { nodes { __typename id } } } } } } }";

const NODES: &str = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }";

/// Every type with an object, as `__typename` and id stand together.
fn collect(value: &Value, found: &mut BTreeMap<String, String>) {
    if let (Some(name), Some(id)) = (value["__typename"].as_str(), value["id"].as_str()) {
        found.insert(name.to_owned(), id.to_owned());
    }
    match value {
        Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

async fn joined(app: &TestApp) -> (Client, BTreeMap<String, String>) {
    let person = app.client.sign_up().await;
    app.provider.then(Script::text("Hello.", 2).usage(9, 5));
    let sent = person.send_text("Hello?", json!({})).await;
    person.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
    let account = person.gql("{ viewer { account { id } } }", json!({})).await;
    give(app, account.data()["viewer"]["account"]["id"].as_str().unwrap()).await;
    let mut own = BTreeMap::new();
    collect(person.gql(OWN, json!({})).await.data(), &mut own);
    (person, own)
}

/// Credits by hand, as a command gives them.
async fn give(app: &TestApp, account: &str) {
    let id = parse_any(account).unwrap().1;
    let sql = format!(
        "WITH given AS (
           INSERT INTO credit_adjustments (id, account_id, amount, booked, reason, status, key)
             VALUES (uuid_v7(), '{id}', 1000000, 1000000, 'Prize', 'applied', uuid_v7()::text) RETURNING *)
         SELECT ledger_adjust(id, account_id, 'credits', amount, 'infinity', NULL, reason) FROM given"
    );
    app.db.execute(&sql).await;
}

async fn nodes(client: &Client, ids: &[&str]) -> Vec<Value> {
    client.gql(NODES, json!({ "ids": ids })).await.data()["nodes"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_is_read_again_by_its_id_and_by_nobody_else() {
    let app = TestApp::start().await;
    let (owner, own) = joined(&app).await;
    let is_node = |kind: &TypeKind| match kind {
        TypeKind::Object(object) => object.implements.iter().any(|interface| interface.node == "Node"),
        _ => false,
    };
    let all: BTreeSet<String> = types()
        .into_iter()
        .filter(|definition| is_node(&definition.kind))
        .map(|definition| definition.name.node.to_string())
        .collect();
    assert_eq!(own.keys().cloned().collect::<BTreeSet<_>>(), all, "a type of Node is not in the sweep");

    let (stranger, _) = joined(&app).await;
    for (name, id) in &own {
        let is_public = ["Model", "Plan"].contains(&name.as_str());
        for (client, is_seen) in [(&owner, true), (&stranger, is_public), (&app.client, is_public)] {
            let answer =
                client.gql("query($id: ID!) { node(id: $id) { __typename id } }", json!({ "id": id })).await;
            let expected = if is_seen { json!({ "__typename": name, "id": id }) } else { Value::Null };
            assert_eq!(answer.data()["node"], expected, "{name}");
            assert_eq!(nodes(client, &[id]).await, [expected], "{name}");
        }
    }
    println!("every_node_is_read_again_by_its_id n={} ok", own.len());
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_keep_their_order_and_say_null_for_what_is_not_there() {
    let app = TestApp::start().await;
    let (owner, own) = joined(&app).await;
    let (_, foreign) = joined(&app).await;
    let known: Vec<&str> = own.values().rev().map(String::as_str).collect();
    let zero = "0".repeat(26);
    let (never, unknown_prefix) = (format!("msg_{zero}"), format!("zzz_{zero}"));
    let nothing = [
        &never,
        &unknown_prefix,
        &zero,
        &foreign["Message"],
        &own["Message"].to_uppercase(),
        &own["Message"].replace("msg_", "cnv_"),
        &format!("{} ", own["Message"]),
        "",
        "msg_",
        "1",
        "\u{0}",
    ];
    let mut ids = Vec::new();
    for (at, id) in known.iter().enumerate() {
        ids.extend([id, nothing[at % nothing.len()]]);
    }
    ids.extend(nothing);
    ids.push(known[0]);
    let found = nodes(&owner, &ids).await;
    for (id, node) in ids.iter().zip(&found) {
        let expected = if known.contains(id) { json!(id) } else { Value::Null };
        assert_eq!(node["id"], expected, "{id:?}");
    }
    assert_eq!(found.len(), ids.len());
    assert!(nodes(&owner, &[]).await.is_empty());
    assert_eq!(nodes(&owner, &vec![known[0]; 100]).await.len(), 100);
    let answer = owner.gql(NODES, json!({ "ids": vec![known[0]; 101] })).await;
    assert_eq!(answer.code(), "BAD_USER_INPUT");
    assert_eq!(answer.errors()[0]["message"], "`ids` has at most 100 items.");
    app.close().await;
}
