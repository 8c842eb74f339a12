//! Subscriptions in the running application: from signing up to a refill that shows on the first read.

use chrono::TimeDelta;
use loquent::{domains::accounts::UserRow, platform::ids::Id};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    app::TestApp,
    client::Client,
    provider::Script,
    rows::{row, row_when},
};

pub async fn shown(person: &Client) -> Value {
    let query = "{ viewer { account { plan { key } creditBalance { available } } } }";
    person.gql(query, json!({})).await.data()["viewer"]["account"].clone()
}

pub async fn user_id(person: &Client) -> Uuid {
    let answer = person.gql("{ viewer { user { id } } }", json!({})).await;
    Id::<UserRow>::parse(answer.data()["viewer"]["user"]["id"].as_str().unwrap()).unwrap().0
}

/// Moves everything that is dated of an account into the past, as if the time had gone on.
async fn age(app: &TestApp, account: Uuid, by: TimeDelta) {
    let seconds = by.num_seconds();
    app.db
        .execute(&format!(
            "UPDATE subscriptions SET anchor_at = anchor_at - interval '{seconds} s', period_started_at = period_started_at - interval '{seconds} s',
                    period_ends_at = period_ends_at - interval '{seconds} s', reverts_at = reverts_at - interval '{seconds} s'
              WHERE account_id = '{account}';
             UPDATE grants g SET starts_at = starts_at - interval '{seconds} s', expires_at = expires_at - interval '{seconds} s'
               FROM wallets w WHERE w.id = g.wallet_id AND w.account_id = '{account}'"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_refill_shows_on_read_and_pays_for_the_first_message() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let account = user_id(&person).await;
    let whole = shown(&person).await;
    assert_eq!(whole["creditBalance"]["available"], "100.000000");
    app.provider.always(Script::text("Yes.", 1).usage(5, 5));
    person.ended_run(&person.send_text("Hi", json!({})).await).await;
    assert_ne!(shown(&person).await, whole);
    age(&app, account, TimeDelta::days(40)).await;
    assert_eq!(shown(&person).await, whole);
    let kinds: Vec<String> =
        person.ledger().await.iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["GRANT", "EXPIRE", "SETTLE", "HOLD", "GRANT"]);

    age(&app, account, TimeDelta::days(40)).await;
    let sent = person.send_text("Hi", json!({})).await;
    assert_eq!(sent["userErrors"], json!([]));
    person.ended_run(&sent).await;
    let grants = row(&app.db.url, "SELECT count(*) AS n FROM grants").await;
    assert_eq!(grants["n"], 3, "the hold was paid by the new period");
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_of_the_hour_renews_an_account_at_which_nobody_looks() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let account = user_id(&person).await;
    age(&app, account, TimeDelta::days(40)).await;
    app.db
        .execute(
            "UPDATE cron_entries SET is_enabled = true, next_tick_at = loquent_now() WHERE name = 'subscriptions.renew'",
        )
        .await;
    let renewed = format!("SELECT period FROM subscriptions WHERE account_id = '{account}' AND period = 1");
    row_when(&app.db.url, std::time::Duration::from_secs(20), &renewed).await;
    row_when(
        &app.db.url,
        std::time::Duration::from_secs(20),
        "SELECT FROM jobs WHERE state = 'done' AND name = 'upkeep.renew_subscriptions'",
    )
    .await;
    app.close().await;
}
