//! A call that waits for a lock across the end of a window, a period or a loan: it counts, and is refused, by the time at which
//! it is admitted, never by the time at which it was made.

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use diesel_async::SimpleAsyncConnection;
use serde_json::{Value, json};

use super::books::{connect, micro, rows, run, wait_until_blocked, wait_until_settled};
use crate::support::{
    app::{MODEL, TestApp, new_key},
    catalog::{Offer, apply},
    client::Client,
    db::TestDb,
    provider::Script,
};

const SEND: &str = "mutation($input: SendMessageInput!) { sendMessage(input: $input) {
    assistantMessage { generation { charge { creditsHeld } } } creditBalance { available }
    quotas { meter used held remaining resetsAt } userErrors { code message } } }";
const CREATE: &str = "mutation($input: CreateConversationInput!) { createConversation(input: $input) {
    conversation { id } quotas { meter used held remaining resetsAt } userErrors { code message } } }";

/// An application half a minute before midnight, whose database stands still there.
struct Eve {
    app: TestApp,
    midnight: DateTime<Utc>,
}

/// Rows that a call must lock.
#[derive(Clone, Copy)]
enum Held {
    Wallets,
    Counters,
}

impl Eve {
    async fn begin(offer: Offer) -> Self {
        let db = TestDb::create().await;
        apply(&db.url, &offer.text()).await;
        let clock = "CREATE TABLE moment AS SELECT loquent_now() AS at;
            CREATE OR REPLACE FUNCTION loquent_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT at FROM moment'";
        run(&db.url, clock).await;
        let app = TestApp::builder().start_over(db).await;
        app.provider.always(Script::text("Yes.", 1).usage(5, 10));
        let tomorrow = app.app.clock.now().date_naive() + Days::new(1);
        let eve = Self { app, midnight: tomorrow.and_time(NaiveTime::MIN).and_utc() };
        eve.set_database(-30).await;
        eve.set_process(-30);
        eve
    }

    /// Moves the time of the database to so many seconds after midnight.
    async fn set_database(&self, seconds: i64) {
        let now = self.midnight + TimeDelta::seconds(seconds);
        run(&self.app.db.url, &format!("UPDATE moment SET at = '{}'", now.to_rfc3339())).await;
    }

    /// Moves the clock of the process there, from where it goes on.
    fn set_process(&self, seconds: i64) {
        let clock = &self.app.app.clock;
        clock.advance(self.midnight + TimeDelta::seconds(seconds) - clock.now());
    }

    /// Lets a call wait for a lock while the day ends.
    async fn over_midnight<T>(&self, held: Held, call: impl Future<Output = T>) -> T {
        self.until(1, held, call).await
    }

    /// Lets a call wait for a lock until so many seconds after midnight.
    async fn until<T>(&self, seconds: i64, held: Held, call: impl Future<Output = T>) -> T {
        let url = &self.app.db.url;
        let mut blocker = connect(url).await;
        let table = match held {
            Held::Wallets => "wallets",
            Held::Counters => "quota_counters",
        };
        blocker.batch_execute(&format!("BEGIN; SELECT 1 FROM {table} FOR UPDATE")).await.unwrap();
        let release = async {
            wait_until_blocked(url, 1).await;
            self.set_process(seconds);
            self.set_database(seconds).await;
            blocker.batch_execute("COMMIT").await.unwrap();
        };
        let (answer, ()) = tokio::join!(call, release);
        answer
    }

    /// The only counter: the start of its window after midnight, in hours, what is used, and what is held.
    async fn counter(&self) -> Value {
        let sql = format!(
            "SELECT extract(epoch FROM window_started_at - '{}')::int / 3600 AS starts, used, held \
               FROM quota_counters WHERE meter <> 'credits'",
            self.midnight.to_rfc3339()
        );
        let mut found = rows(&self.app.db.url, &sql).await;
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    /// The only limit of the plan, beside the ceiling of the day, with so much used and held, which starts again at the next
    /// midnight.
    fn assert_quota(&self, payload: &Value, expected: Value) {
        assert_eq!(payload["userErrors"], json!([]));
        let quotas = payload["quotas"].as_array().unwrap();
        let of_plan: Vec<&Value> = quotas.iter().filter(|quota| quota["meter"] != "CREDITS").collect();
        let [quota] = of_plan[..] else { panic!("{payload}") };
        assert_eq!(json!([quota["used"], quota["held"], quota["remaining"]]), expected, "{payload}");
        let resets_at: DateTime<Utc> = quota["resetsAt"].as_str().unwrap().parse().unwrap();
        assert_eq!(resets_at, self.midnight + Days::new(1));
    }

    async fn close(self) {
        wait_until_settled(&self.app.db.url).await;
        self.app.close().await;
    }
}

async fn send(person: &Client) -> Value {
    let input = json!({ "parts": [{ "text": "Hi" }], "model": MODEL, "idempotencyKey": new_key(),
        "options": { "maxOutputTokens": 64 } });
    person.gql(SEND, json!({ "input": input })).await.data()["sendMessage"].clone()
}

async fn create(person: &Client) -> Value {
    let input = json!({ "title": "New", "idempotencyKey": new_key() });
    person.gql(CREATE, json!({ "input": input })).await.data()["createConversation"].clone()
}

fn a_day(meter: &str, amount: u32) -> Offer {
    let limit = format!(
        "[[plans.default.limits]]\nmeter = \"{meter}\"\nwindow = \"day\"\nscope = \"account\"\namount = {amount}\n"
    );
    Offer::default().plan(&limit)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_day_that_ends_while_a_message_waits_does_not_refuse_it() {
    let eve = Eve::begin(a_day("messages", 1)).await;
    let person = eve.app.client.sign_up().await;
    assert_eq!(send(&person).await["userErrors"], json!([]));
    wait_until_settled(&eve.app.db.url).await;
    assert_eq!(send(&person).await["userErrors"][0]["code"], "QUOTA_EXCEEDED");
    let sent = eve.over_midnight(Held::Wallets, send(&person)).await;
    eve.assert_quota(&sent, json!(["0", "1", "0"]));
    println!("edge of a used up day n=1 ok");
    eve.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_waits_over_midnight_counts_in_the_new_day() {
    let eve = Eve::begin(a_day("messages", 2)).await;
    let person = eve.app.client.sign_up().await;
    assert_eq!(send(&person).await["userErrors"], json!([]));
    wait_until_settled(&eve.app.db.url).await;
    assert_eq!(eve.counter().await, json!({ "starts": -24, "used": 1, "held": 0 }));
    let sent = eve.over_midnight(Held::Wallets, send(&person)).await;
    eve.assert_quota(&sent, json!(["0", "1", "1"]));
    wait_until_settled(&eve.app.db.url).await;
    assert_eq!(eve.counter().await, json!({ "starts": 0, "used": 1, "held": 0 }));
    println!("edge of a day n=1 ok");
    eve.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_that_ends_while_a_message_waits_pays_with_the_credits_of_the_next() {
    // For one message of 69,000 micro-credits, and what 15,000 of them leave is not enough for another.
    let eve = Eve::begin(Offer::of_credits("0.08")).await;
    let person = eve.app.client.sign_up().await;
    // The period and its grant end before any window does.
    let end = (eve.midnight - TimeDelta::seconds(10)).to_rfc3339();
    let shift = format!("(period_ends_at - '{end}'::timestamptz)");
    let end = format!(
        "UPDATE grants SET expires_at = '{end}';
         UPDATE subscriptions SET anchor_at = anchor_at - {shift}, period_started_at = period_started_at - {shift},
                                  period_ends_at = period_ends_at - {shift}"
    );
    run(&eve.app.db.url, &end).await;
    assert_eq!(send(&person).await["userErrors"], json!([]));
    wait_until_settled(&eve.app.db.url).await;
    assert_eq!(send(&person).await["userErrors"][0]["code"], "INSUFFICIENT_CREDITS");
    let sent = eve.until(-5, Held::Wallets, send(&person)).await;
    assert_eq!(sent["userErrors"], json!([]));
    assert_eq!(sent["assistantMessage"]["generation"]["charge"]["creditsHeld"], "0.069000");
    assert_eq!(micro(&sent["creditBalance"]["available"]), 80_000 - 69_000);
    println!("edge of a period n=1 ok");
    eve.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loan_that_ends_while_a_message_waits_does_not_pay_for_it() {
    let lent = "[plans.lent]\nname = \"Lent\"\ncredits = \"0\"\nmodels = [\"*\"]\n";
    let eve = Eve::begin(Offer::default().with(lent).models(&["echo"])).await;
    let person = eve.app.client.sign_up().await;
    let lend = format!(
        "UPDATE subscriptions SET reverts_to_plan_id = plan_id, reverts_at = '{}',
                                  plan_id = (SELECT id FROM plans WHERE key = 'lent')",
        (eve.midnight - TimeDelta::seconds(10)).to_rfc3339()
    );
    run(&eve.app.db.url, &lend).await;
    assert_eq!(send(&person).await["userErrors"], json!([]));
    wait_until_settled(&eve.app.db.url).await;
    let refused = eve.until(-5, Held::Wallets, send(&person)).await;
    assert_eq!(refused["userErrors"][0]["code"], "PLAN_REQUIRED", "{refused}");
    println!("edge of a loan n=1 ok");
    eve.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_waits_over_midnight_counts_in_the_new_day() {
    let eve = Eve::begin(a_day("conversations", 1)).await;
    let person = eve.app.client.sign_up().await;
    assert_eq!(create(&person).await["userErrors"], json!([]));
    assert_eq!(create(&person).await["userErrors"][0]["code"], "QUOTA_EXCEEDED");
    let made = eve.over_midnight(Held::Counters, create(&person)).await;
    eve.assert_quota(&made, json!(["1", "0", "0"]));
    assert_eq!(eve.counter().await, json!({ "starts": 0, "used": 1, "held": 0 }));
    println!("edge of conversations n=1 ok");
    eve.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_clock_is_wrong_counts_in_the_days_of_the_database() {
    let eve = Eve::begin(a_day("messages", 1)).await;
    let person = eve.app.client.sign_up().await;
    // It is ahead: the new day has not begun.
    eve.set_process(1);
    assert_eq!(send(&person).await["userErrors"], json!([]));
    wait_until_settled(&eve.app.db.url).await;
    assert_eq!(eve.counter().await, json!({ "starts": -24, "used": 1, "held": 0 }));
    assert_eq!(send(&person).await["userErrors"][0]["code"], "QUOTA_EXCEEDED");
    // It is behind: the new day has begun.
    eve.set_process(-30);
    eve.set_database(1).await;
    eve.assert_quota(&send(&person).await, json!(["0", "1", "0"]));
    println!("edges and a wrong clock n=2 ok");
    eve.close().await;
}
