//! What an account reads of its credits and limits.

use loquent::platform::ids::parse_any;
use serde_json::{Value, json};

use super::{OFFER, offered};
use crate::support::provider::Script;

const ACCOUNT: &str = "{ viewer { account { id plan { key version }
    creditBalance { available held resetsAt revision }
    creditGrants { id source granted remaining expiresAt createdAt }
    ledger { nodes { kind amount grant { id source } subject { __typename } } }
    quotas { meter window scope limit used held remaining resetsAt revision } } } }";

#[tokio::test(flavor = "multi_thread")]
async fn an_account_reads_its_plan_balance_grants_ledger_and_limits() {
    let app = offered(OFFER).await;
    let person = app.client.sign_up().await;
    app.provider.then(Script::text("Yes.", 1).usage(5, 10));
    person.ended_run(&person.send_text("Hi", json!({})).await).await;
    let account = person.gql(ACCOUNT, json!({})).await.data()["viewer"]["account"].clone();
    assert_eq!(account["plan"], json!({ "key": "free", "version": 1 }));
    let balance = &account["creditBalance"];
    assert_eq!((&balance["available"], &balance["held"]), (&json!("99.985000"), &json!("0.000000")));
    let grants = account["creditGrants"].as_array().unwrap();
    assert_eq!(grants.len(), 1);
    assert_eq!(
        (&grants[0]["source"], &grants[0]["granted"], &grants[0]["remaining"]),
        (&json!("PLAN"), &json!("100.000000"), &json!("99.985000"))
    );
    assert_eq!(grants[0]["expiresAt"], balance["resetsAt"], "plan credits end when the next ones come");
    assert_ne!(balance["resetsAt"], Value::Null);
    let ledger = account["ledger"]["nodes"].as_array().unwrap();
    let kinds: Vec<_> = ledger.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["SETTLE", "HOLD", "GRANT"]);
    assert!(ledger.iter().all(|entry| entry["grant"]["id"] == grants[0]["id"]));
    let counted: Vec<_> = account["quotas"].as_array().unwrap().iter().map(|quota| &quota["used"]).collect();
    assert_eq!(counted, ["1", "1", "0", "0.015000"]);

    let node = "query($id: ID!) { node(id: $id) { id ... on CreditGrant { source remaining } } }";
    let found = person.gql(node, json!({ "id": grants[0]["id"] })).await.data()["node"].clone();
    assert_eq!((&found["id"], &found["source"]), (&grants[0]["id"], &json!("PLAN")));
    let stranger = app.client.sign_up().await;
    assert_eq!(stranger.gql(node, json!({ "id": grants[0]["id"] })).await.data()["node"], Value::Null);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_refill_and_what_has_expired_show_on_every_read() {
    let app = offered(OFFER).await;
    for read in [
        "creditBalance { available }",
        "creditGrants { granted remaining }",
        "ledger(first: 2) { nodes { kind amount } }",
        "plan { key } creditBalance { available }",
    ] {
        let person = app.client.sign_up().await;
        let query = format!("{{ viewer {{ account {{ id {read} }} }} }}");
        let before = person.gql(&query, json!({})).await.data()["viewer"]["account"].clone();
        // The period, and with it the grant, was over an hour ago.
        let id = parse_any(before["id"].as_str().unwrap()).unwrap().1;
        app.db
            .execute(&format!(
                "UPDATE subscriptions SET anchor_at = anchor_at - interval '1 month' - interval '1 hour',
                   period_started_at = period_started_at - interval '1 month' - interval '1 hour',
                   period_ends_at = loquent_now() - interval '1 hour' WHERE account_id = '{id}'"
            ))
            .await;
        app.db
            .execute(&format!(
                "UPDATE grants SET starts_at = starts_at - interval '1 month', expires_at = loquent_now() - interval '1 hour'
                  WHERE wallet_id IN (SELECT id FROM wallets WHERE account_id = '{id}')"
            ))
            .await;
        person.gql(&query, json!({})).await.data();
        let kinds = app
            .db
            .lines(&format!(
                "SELECT string_agg(kind, ' ' ORDER BY revision) AS line FROM ledger_entries WHERE account_id = '{id}'"
            ))
            .await;
        assert_eq!(kinds, ["grant expire grant"], "{read}");
        let after = person.gql(&query, json!({})).await.data()["viewer"]["account"].clone();
        if read.starts_with("creditBalance") {
            assert_eq!(after["creditBalance"]["available"], "100.000000");
        }
    }
    println!("a_due_refill_shows_on_every_read n=4 ok");
    app.close().await;
}
