//! Every payload of a call that may spend shows the limits that the call drew on.

use async_graphql::parser::types::TypeKind;
use serde_json::{Value, json};

use super::{OFFER, offered};
use crate::{
    sdl::{base, fields, types},
    support::{
        app::{MODEL, new_key},
        client::Client,
        provider::{Gate, Script},
    },
};

const QUOTAS: &str = "quotas { meter window scope limit used held remaining resetsAt revision }";

#[test]
fn every_payload_with_a_balance_shows_quotas() {
    let types = types();
    let find = |name: &str| types.iter().find(|known| known.name.node == name).unwrap();
    let mut paid = 0;
    for field in fields(&find("Mutation").kind) {
        let payload = find(&base(&field.node.ty.node));
        let has = |name: &str, ty: &str| {
            let fields = fields(&payload.kind);
            fields.iter().any(|field| field.node.name.node == name && field.node.ty.node.to_string() == ty)
        };
        let TypeKind::Object(object) = &payload.kind else { panic!("{}", payload.name.node) };
        let is_paid = object.implements.iter().any(|interface| interface.node == "PaidPayload");
        // What an administrator gives is no call that spends.
        let spends = has("creditBalance", "CreditBalance") && payload.name.node != "CreditAdjustmentPayload";
        assert_eq!(is_paid, spends, "{}", payload.name.node);
        assert_eq!(has("quotas", "[Quota!]!"), spends, "{}", payload.name.node);
        paid += usize::from(spends);
    }
    assert!(paid >= 4, "only {paid} mutations spend");
    println!("every_payload_with_a_balance_shows_quotas n={paid} ok");
}

async fn send(person: &Client, key: &str) -> Value {
    let mutation = format!(
        "mutation($input: SendMessageInput!) {{ sendMessage(input: $input) {{
            assistantMessage {{ id generation {{ id }} }} {QUOTAS} userErrors {{ code }} }} }}"
    );
    let input = json!({ "parts": [{ "text": "Hi" }], "model": MODEL, "idempotencyKey": key });
    person.gql(&mutation, json!({ "input": input })).await.data()["sendMessage"].clone()
}

/// Meter, used, held and remaining of each.
fn counts(quotas: &Value) -> Vec<[&str; 4]> {
    let text = |quota: &'_ Value, name: &str| -> &'static str {
        quota[name].as_str().unwrap_or_else(|| panic!("{quota}")).to_owned().leak()
    };
    let all = quotas.as_array().unwrap().iter();
    all.map(|quota| ["meter", "used", "held", "remaining"].map(|name| text(quota, name))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_shows_the_limits_it_drew_on_and_a_cancel_what_is_left_of_them() {
    let app = offered(OFFER).await;
    let person = app.client.sign_up().await;
    let gate = Gate::default();
    app.provider.then(Script::text("Yes. No.", 2).usage(5, 10).gate_after(1, &gate));
    let key = new_key();
    let first = send(&person, &key).await;
    assert_eq!(first["userErrors"], json!([]));
    // The limits of the plan by day and minute, and the ceilings: answers at once, credits a day.
    assert_eq!(
        counts(&first["quotas"]),
        [
            ["MESSAGES", "0", "1", "1"],
            ["LLM_REQUESTS", "0", "1", "2"],
            ["LLM_REQUESTS", "0", "1", "2"],
            ["CREDITS", "0.000000", "4.101000", "9995.899000"]
        ]
    );
    assert_eq!(first["quotas"][0]["limit"], "2");
    assert_eq!(first["quotas"][0]["scope"], "MEMBER");
    assert_ne!(first["quotas"][0]["resetsAt"], Value::Null);
    // The same call again shows the same limits.
    assert_eq!(counts(&send(&person, &key).await["quotas"]), counts(&first["quotas"]));

    let mutation = format!(
        "mutation($id: ID!) {{ cancelGeneration(input: {{ id: $id }}) {{
            generation {{ status }} creditBalance {{ held }} {QUOTAS} userErrors {{ code }} }} }}"
    );
    let id = &first["assistantMessage"]["generation"]["id"];
    let canceled = person.gql(&mutation, json!({ "id": id })).await.data()["cancelGeneration"].clone();
    gate.open();
    person.wait_for_end(first["assistantMessage"]["id"].as_str().unwrap()).await;
    assert_eq!(canceled["userErrors"], json!([]));
    let counted = counts(&canceled["quotas"]);
    assert_eq!(
        counted.iter().map(|count| count[0]).collect::<Vec<_>>(),
        ["MESSAGES", "LLM_REQUESTS", "LLM_REQUESTS", "CREDITS"]
    );
    assert!(counted.iter().all(|count| count[2].parse() == Ok(0.0)), "nothing is held: {counted:?}");
    println!("a_send_shows_the_limits_it_drew_on n=3 ok");
    app.close().await;
}
