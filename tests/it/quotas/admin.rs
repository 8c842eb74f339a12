//! What administrators change, who is one, and what everybody else is told.

use loquent::platform::ids::parse_any;
use serde_json::{Value, json};

use super::{OFFER, offered};
use crate::support::{
    app::{TestApp, new_key},
    binary::command,
    client::{Answer, Client},
    ws::{Event, Socket},
};

const ADJUST: &str = "mutation($input: AdjustCreditsInput!) { adjustCredits(input: $input) {
    adjustment { id status amount reason account { id name viewerRole } requestedBy { id } }
    creditBalance { available revision } userErrors { code message field } } }";
pub const SET_PLAN: &str = "mutation($input: SetAccountPlanInput!) { setAccountPlan(input: $input) {
    account { id viewerRole plan { key } creditBalance { available } creditGrants { source } }
    userErrors { code field } } }";

pub async fn account_of(client: &Client) -> String {
    let answer = client.gql("{ viewer { account { id } } }", json!({})).await;
    answer.data()["viewer"]["account"]["id"].as_str().unwrap().to_owned()
}

/// Gives somebody a role, as the command does.
pub async fn set_role(app: &TestApp, account: &str, role: &str) {
    let id = parse_any(account).unwrap().1;
    app.db.execute(&format!("UPDATE users SET role = '{role}' WHERE id = '{id}'")).await;
}

async fn adjust(client: &Client, account: &str, amount: &str, key: &str) -> Answer {
    let input = json!({ "accountId": account, "amount": amount, "reason": "Prize", "idempotencyKey": key });
    client.gql(ADJUST, json!({ "input": input })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_is_an_administrator_in_the_database_now_adjusts_credits() {
    let app = offered(OFFER).await;
    let (admin, person) = (app.client.sign_up().await, app.client.sign_up().await);
    let (own, account) = (account_of(&admin).await, account_of(&person).await);
    for (client, code) in [(&app.client, "UNAUTHENTICATED"), (&person, "FORBIDDEN"), (&admin, "FORBIDDEN")] {
        let answer = adjust(client, &account, "5", &new_key()).await;
        assert_eq!((answer.code(), &answer.body["data"]), (code, &Value::Null));
    }
    // The token is the same as before.
    set_role(&app, &own, "admin").await;
    let socket = Socket::connect(&person).await;
    let mut watch = socket.subscribe(super::watch::BALANCE, json!({})).await;
    assert!(matches!(watch.next().await, Event::Next(_)));
    let key = new_key();
    let given = adjust(&admin, &account, "5.5", &key).await.data()["adjustCredits"].clone();
    assert_eq!(given["userErrors"], json!([]));
    assert_eq!(
        (&given["adjustment"]["status"], &given["adjustment"]["amount"]),
        (&json!("APPLIED"), &json!("5.500000"))
    );
    assert_eq!(given["adjustment"]["account"]["id"], account);
    assert_eq!(given["adjustment"]["account"]["viewerRole"], Value::Null);
    assert_ne!(given["adjustment"]["requestedBy"], Value::Null);
    assert_eq!(given["creditBalance"]["available"], "105.500000");
    let Event::Next(event) = watch.next().await else { panic!("the watch ended") };
    assert_eq!(event["data"]["creditBalanceChanged"]["available"], "105.500000");
    // Once for a key, and never another thing under it.
    assert_eq!(adjust(&admin, &account, "5.5", &key).await.data()["adjustCredits"], given);
    let other = adjust(&admin, &account, "6", &key).await;
    assert_eq!(other.user_errors("adjustCredits")[0]["code"], "IDEMPOTENCY_KEY_REUSED");
    // What ends in a moment is given, and the repeat after that end says so again.
    let ends = app.app.clock.now() + chrono::TimeDelta::seconds(30);
    let input = json!({ "accountId": account, "amount": "1", "reason": "Prize", "expiresAt": ends,
        "idempotencyKey": new_key() });
    let short = async || admin.gql(ADJUST, json!({ "input": input })).await.data()["adjustCredits"].clone();
    let first = short().await;
    assert_eq!(first["userErrors"], json!([]));
    app.app.clock.advance(chrono::TimeDelta::seconds(60));
    assert_eq!(short().await["adjustment"], first["adjustment"]);
    // Taking takes what is there.
    let taken = adjust(&admin, &account, "-200", &new_key()).await.data()["adjustCredits"].clone();
    assert_eq!(taken["creditBalance"]["available"], "0.000000");
    for (amount, field) in [("0", "amount"), ("0.0000001", "amount"), ("10001", "amount")] {
        let refused = adjust(&admin, &account, amount, &new_key()).await;
        assert_eq!(refused.user_errors("adjustCredits")[0]["field"], json!(["input", field]), "{refused:?}");
    }
    // The statement of the account says what it was, and not who it was.
    let ledger = "{ viewer { account { ledger(kinds: [ADJUST]) { nodes { amount description
        subject { ... on CreditAdjustment { reason amount requestedBy { id } account { id } } } } } } } }";
    let entries = person.gql(ledger, json!({})).await.data()["viewer"]["account"]["ledger"]["nodes"].clone();
    let given_entry = entries.as_array().unwrap().last().unwrap();
    let subject =
        json!({ "reason": "Prize", "amount": "5.500000", "requestedBy": null, "account": { "id": account } });
    assert_eq!(*given_entry, json!({ "amount": "5.500000", "description": "Prize", "subject": subject }));

    set_role(&app, &own, "user").await;
    assert_eq!(adjust(&admin, &account, "5", &new_key()).await.code(), "FORBIDDEN");
    println!("only_administrators_adjust_credits n=10 ok");
    drop((watch, socket));
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_puts_a_plan_in_force_and_everybody_else_does_not() {
    let app = offered(OFFER).await;
    let (admin, person) = (app.client.sign_up().await, app.client.sign_up().await);
    let (own, account) = (account_of(&admin).await, account_of(&person).await);
    let plans = app.client.gql("{ plans { id key } }", json!({})).await.data()["plans"].clone();
    let id_of =
        |key: &str| plans.as_array().unwrap().iter().find(|plan| plan["key"] == key).unwrap()["id"].clone();
    let set = async |client: &Client, plan: &Value, more: Value| {
        let mut input = json!({ "accountId": account, "planId": plan, "reason": "Prize" });
        for (name, value) in more.as_object().unwrap() {
            input[name] = value.clone();
        }
        client.gql(SET_PLAN, json!({ "input": input })).await
    };
    let pro = id_of("pro");
    assert_eq!(set(&app.client, &pro, json!({})).await.code(), "UNAUTHENTICATED");
    assert_eq!(set(&person, &pro, json!({})).await.code(), "FORBIDDEN");
    set_role(&app, &own, "admin").await;
    let done = set(&admin, &pro, json!({})).await.data()["setAccountPlan"].clone();
    assert_eq!(done["userErrors"], json!([]));
    assert_eq!(
        (&done["account"]["plan"]["key"], &done["account"]["viewerRole"]),
        (&json!("pro"), &Value::Null)
    );
    assert_eq!(done["account"]["creditBalance"]["available"], "300.000000");
    let seen = person.gql("{ viewer { account { plan { key } } } }", json!({})).await;
    assert_eq!(seen.data()["viewer"]["account"]["plan"]["key"], "pro");
    for (more, code, field) in [
        (json!({ "reason": " " }), "INVALID_INPUT", "reason"),
        (json!({ "expiresAt": "2020-01-01T00:00:00Z" }), "INVALID_INPUT", "expiresAt"),
    ] {
        let refused = set(&admin, &pro, more).await;
        let expected = json!([{ "code": code, "field": ["input", field] }]);
        assert_eq!(refused.data()["setAccountPlan"]["userErrors"], expected);
    }
    println!("an_administrator_puts_a_plan_in_force n=5 ok");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_becomes_an_administrator_by_command() {
    let app = offered(OFFER).await;
    let person = app.client.sign_up().await;
    let answer = person.gql("{ viewer { user { email } } }", json!({})).await;
    let email = answer.data()["viewer"]["user"]["email"].as_str().unwrap().to_owned();
    let account = account_of(&person).await;
    let home = tempfile::tempdir().unwrap();
    let run = |email: &str, role: &str| {
        let mut command = command(home.path(), &app.db.url);
        command.args(["users", "set-role", email, role]).output().unwrap().status.code()
    };
    assert_eq!(run("nobody@example.org", "admin"), Some(1));
    assert_eq!(run(&email, "admin"), Some(0));
    assert!(adjust(&person, &account, "1", &new_key()).await.errors().is_empty());
    assert_eq!(run(&email, "user"), Some(0));
    assert_eq!(adjust(&person, &account, "1", &new_key()).await.code(), "FORBIDDEN");
    app.close().await;
}
