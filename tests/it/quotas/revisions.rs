//! The revision of a limit grows with everything that a client can see of it: use, time and plans.

use std::collections::HashMap;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{
    OFFER,
    admin::{SET_PLAN, account_of, set_role},
    offered, set_plan, shift, until_midnight,
};
use crate::support::{
    app::TestApp,
    client::Client,
    provider::{Gate, Script},
};

const QUOTA: &str = "quotas { meter window scope limit used held remaining resetsAt revision }";

/// The last state of every limit that was read, by its place.
#[derive(Default)]
struct Seen(HashMap<String, Value>);

impl Seen {
    /// Reads all limits.
    async fn read(&mut self, person: &Client) -> Vec<String> {
        let answer = person.gql(&format!("{{ viewer {{ account {{ {QUOTA} }} }} }}"), json!({})).await;
        self.look(&answer.data()["viewer"]["account"]["quotas"])
    }

    /// Looks at limits that were read: what differs from the state before has a higher revision, and nothing has a lower
    /// one. The windows of those that differ.
    fn look(&mut self, quotas: &Value) -> Vec<String> {
        let new = quotas.as_array().unwrap().iter().filter(|quota| self.is_new(quota));
        new.map(|quota| quota["window"].as_str().unwrap().to_owned()).collect()
    }

    fn is_new(&mut self, quota: &Value) -> bool {
        let place = ["meter", "window", "scope"].map(|name| quota[name].as_str().unwrap()).join(" ");
        let Some(last) = self.0.insert(place.clone(), quota.clone()) else { return true };
        let revision = |quota: &Value| quota["revision"].as_i64().unwrap();
        assert!(revision(quota) >= revision(&last), "{place}: {last} and then {quota}");
        let is_changed = ["limit", "used", "held", "resetsAt"].iter().any(|name| quota[*name] != last[*name]);
        assert!(!is_changed || revision(quota) > revision(&last), "{place}: {last} and then {quota}");
        is_changed
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_grows_with_use_with_time_and_with_another_plan() {
    let app = offered(OFFER).await;
    let mut total = until_midnight(&app) - TimeDelta::seconds(90);
    shift(&app, total, total).await;
    let person = app.client.sign_up().await;
    let send = async || {
        app.provider.then(Script::text("Yes.", 1).usage(5, 10));
        person.ended_run(&person.send_text("Hi", json!({})).await).await;
    };
    let mut seen = Seen::default();
    assert_eq!(seen.read(&person).await, ["DAY", "MINUTE", "NONE", "DAY"]);
    send().await;
    assert_eq!(seen.read(&person).await, ["DAY", "MINUTE", "DAY"], "the answer at once is over");
    let mut pass = async |seconds| {
        let step = TimeDelta::seconds(seconds);
        total += step;
        shift(&app, total, step).await;
    };
    pass(61).await;
    assert_eq!(seen.read(&person).await, ["MINUTE"], "the call has left its minute");
    pass(60).await;
    assert_eq!(seen.read(&person).await, ["DAY", "DAY"], "midnight");
    send().await;
    assert_eq!(seen.read(&person).await, ["DAY", "MINUTE", "DAY"]);
    for (plan, changed) in [("pro", vec!["DAY"]), ("free", vec!["DAY"]), ("huge", vec![]), ("free", vec![])] {
        set_plan(&app, &person, plan).await;
        assert_eq!(seen.read(&person).await, changed, "{plan}");
    }
    println!("a_revision_grows n=10 ok");
    app.close().await;
}

/// Sends, and stops the answer once `meanwhile` has happened.
async fn stopped_after(app: &TestApp, person: &Client, seen: &mut Seen, meanwhile: impl AsyncFnOnce()) {
    let gate = Gate::default();
    app.provider.then(Script::text("Yes. No.", 2).usage(5, 10).gate_after(1, &gate));
    let sent = person.send_text("Hi", json!({})).await;
    let message = &sent["assistantMessage"];
    meanwhile().await;
    seen.read(person).await;
    let query = format!(
        "mutation($id: ID!) {{ cancelGeneration(input: {{ id: $id }}) {{ generation {{ status }} {QUOTA} }} }}"
    );
    let answer = person.gql(&query, json!({ "id": message["generation"]["id"] })).await;
    let canceled = &answer.data()["cancelGeneration"];
    assert_eq!(canceled["generation"]["status"], "CANCELED");
    seen.look(&canceled["quotas"]);
    // What a read says then is what the end has said.
    assert_eq!(seen.read(person).await, Vec::<String>::new());
    gate.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_outlives_its_plan_ends_with_the_limits_of_now() {
    let app = offered(OFFER).await;
    let (admin, person) = (app.client.sign_up().await, app.client.sign_up().await);
    let (own, account) = (account_of(&admin).await, account_of(&person).await);
    set_role(&app, &own, "admin").await;
    let mut seen = Seen::default();
    seen.read(&person).await;
    stopped_after(&app, &person, &mut seen, async || {
        let plans = admin.gql("{ plans { id key } }", json!({})).await;
        let plans = plans.data()["plans"].as_array().unwrap();
        let pro = plans.iter().find(|plan| plan["key"] == "pro").unwrap();
        let input = json!({ "accountId": account, "planId": pro["id"], "reason": "Prize" });
        let answer = admin.gql(SET_PLAN, json!({ "input": input })).await;
        assert_eq!(answer.user_errors("setAccountPlan"), Vec::<Value>::new());
    })
    .await;
    assert_eq!(seen.0["MESSAGES DAY MEMBER"]["limit"], "50");
    println!("a_run_that_outlives_its_plan n=1 ok");
    app.close().await;
}
