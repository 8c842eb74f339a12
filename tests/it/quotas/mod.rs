//! Limits, credits and plans in the API: what is read, what payloads show, what refusals say, who watches, and what
//! administrators change.

mod admin;
mod conversations;
mod payloads;
mod reads;
mod refusals;
mod revisions;
mod watch;

use chrono::{Days, NaiveTime, TimeDelta};
use loquent::platform::ids::parse_any;
use serde_json::json;

use crate::support::{app::TestApp, catalog::apply, client::Client, db::TestDb};

/// Two models and four plans, whose order is not that of their prices. Two messages a day and three answers a minute are
/// free.
const OFFER: &str = r#"format = 1
default_plan = "free"
[models.scripted]
provider = "scripted"
context_tokens = 100000
max_output_tokens = 4096
prices = { input = "1000", output = "1000" }
[models.rare]
provider = "scripted"
context_tokens = 100000
max_output_tokens = 4096
prices = { input = "1000", output = "1000" }
[plans.free]
name = "Free"
credits = "100"
models = ["scripted"]
[[plans.free.limits]]
meter = "messages"
window = "day"
scope = "member"
amount = 2
[[plans.free.limits]]
meter = "llm_requests"
window = "minute"
scope = "account"
amount = 3
[plans.huge]
name = "Huge"
credits = "1000"
models = ["*"]
[[plans.huge.prices]]
interval = "month"
currency = "EUR"
amount = "20"
[plans.pro]
name = "Pro"
credits = "300"
models = ["scripted", "rare"]
[[plans.pro.prices]]
interval = "year"
currency = "EUR"
amount = "60"
[[plans.pro.limits]]
meter = "messages"
window = "day"
scope = "member"
amount = 50
[plans.small]
name = "Small"
credits = "10"
models = ["scripted"]
[[plans.small.prices]]
interval = "month"
currency = "EUR"
amount = "1"
[[plans.small.limits]]
meter = "messages"
window = "day"
scope = "member"
amount = 1
"#;

/// The application with this offer.
async fn offered(offer: &str) -> TestApp {
    let db = TestDb::create().await;
    apply(&db.url, offer).await;
    TestApp::builder().start_over(db).await
}

/// How long the day of UTC still lasts.
fn until_midnight(app: &TestApp) -> TimeDelta {
    let now = app.app.clock.now();
    (now.date_naive() + Days::new(1)).and_time(NaiveTime::MIN).and_utc() - now
}

/// Moves the time of the application on by `step`, to where that of its database is `total` ahead of the real one.
async fn shift(app: &TestApp, total: TimeDelta, step: TimeDelta) {
    app.app.clock.advance(step);
    let ahead = total.num_milliseconds();
    app.db
        .execute(&format!(
            "CREATE OR REPLACE FUNCTION loquent_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE AS
               $$SELECT clock_timestamp() + {ahead} * interval '1 ms'$$"
        ))
        .await;
}

/// Another plan at once, as another process would put it in force.
async fn set_plan(app: &TestApp, person: &Client, key: &str) {
    let answer = person.gql("{ viewer { account { id } } }", json!({})).await;
    let id = parse_any(answer.data()["viewer"]["account"]["id"].as_str().unwrap()).unwrap().1;
    app.db
        .execute(&format!(
            "UPDATE subscriptions SET revision = revision + 1, plan_id = (SELECT id FROM plans WHERE key = '{key}')
              WHERE account_id = '{id}'"
        ))
        .await;
}
