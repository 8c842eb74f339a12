//! Requests whose caller goes away after each of their steps. The future of an operation is driven by hand: it is polled so
//! many times, each time when something has happened for it, and dropped; with none, one, two and so on, until it comes to
//! its end before that. Whatever the step, no connection keeps a transaction, the books agree, and the same key is one
//! turn. The pool has two connections, so one that did not come back would be missed at once.

use std::{
    future::{Future, poll_fn},
    net::Ipv4Addr,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use async_graphql::{Request, Response, Variables};
use loquent::{
    domains::accounts::Origin,
    graphql::{Caller, Credential, Patience, RequestId, rates::Spending},
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{
    credits::{number, rows, wait_for_zero},
    support::{
        app::{MODEL, TestApp, new_key},
        client::Client,
        processes::eventually,
        provider::{Gate, Script},
    },
};

const SETTINGS: &str = "[database]\nrequest_pool = 2\nwait_ms = 30000\n";
const PATIENCE: Duration = Duration::from_secs(20);
/// More steps than any operation has.
const MOST: usize = 500;
/// With more to load than an answer from memory.
const SEND_AND_LOOK: &str = "mutation($input: SendMessageInput!) { sendMessage(input: $input) {
    conversation { account { name ledger(first: 5) { nodes { user { name } subject { id } } } }
        createdBy { name } messages(last: 5) { nodes { author { name } generation { message { id } } } } }
    creditBalance { available } userErrors { code message } } }";
const CANCEL: &str = "mutation($input: IdInput!) { cancelGeneration(input: $input) {
    generation { id status message { id text } charge { creditsHeld creditsCharged } }
    creditBalance { available held } userErrors { code message } } }";
const ADJUST: &str = "mutation($input: AdjustCreditsInput!) { adjustCredits(input: $input) {
    adjustment { id amount account { name } requestedBy { name } }
    creditBalance { available } userErrors { code message } } }";

struct Stage {
    app: TestApp,
    person: Client,
    /// Tasks of the process that have no end.
    tasks: usize,
}

impl Stage {
    async fn start() -> Self {
        let app = TestApp::builder().settings(SETTINGS).start().await;
        let person = app.client.sign_up().await;
        app.provider.always(Script::text("Yes.", 2).usage(5, 2));
        person.ended_run(&person.send_text("Hi", json!({})).await).await;
        app.provider.idle().await;
        let tasks = app.app.tasks.running();
        Self { app, person, tasks }
    }

    /// The operation as the transports run it, without what they put around it.
    async fn execute(&self, query: &str, variables: Value, patience: Option<Patience>) -> Response {
        let viewer = self.app.app.accounts.authenticate(self.person.token.as_deref().unwrap()).await.unwrap();
        let caller = Caller {
            credential: Credential::Signed(viewer),
            origin: Origin { address: Ipv4Addr::LOCALHOST.into(), user_agent: None },
            request_id: RequestId("a test".into()),
            is_cost_itemized: false,
            patience,
            spending: Spending::default(),
        };
        let request = Request::new(query).variables(Variables::from_json(variables));
        self.app.app.api.execute(request, caller).await
    }

    /// Nothing is left of a request that was dropped but what it had to finish.
    async fn assert_clean(&self) {
        let url = &self.app.db.url;
        let is_over =
            || self.app.app.generations.running() == 0 && self.app.app.tasks.running() <= self.tasks;
        assert!(eventually(PATIENCE, is_over).await, "something runs on");
        let open = "SELECT count(*) FROM pg_stat_activity \
                     WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
        wait_for_zero(url, open).await;
        assert_eq!(rows(url, "SELECT problem, subject FROM ledger_differences").await, Vec::<Value>::new());
        assert_eq!(number(url, "SELECT count(*) FROM holds WHERE state = 'open'").await, 0);
        let turns = "SELECT count(*) FROM idempotency_keys k FULL JOIN generations g \
                         ON g.message_id = (k.result->>'answer_id')::uuid FULL JOIN holds h ON h.id = g.id \
                      WHERE k.key IS NULL OR g.id IS NULL OR h.id IS NULL";
        assert_eq!(number(url, turns).await, 0, "half a turn is left");
        // Both connections of the pool can be used.
        let look = || self.person.gql("{ viewer { user { name } account { name } } }", json!({}));
        let (one, other) = tokio::join!(look(), look());
        assert_eq!(one.data(), other.data());
    }
}

/// Wakes whoever waits for the next step.
#[derive(Default)]
struct Steps(Notify);

impl Wake for Steps {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// Polls at most so many times, each time after something has happened, and drops the future; its result if it had one.
async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let steps = Arc::new(Steps::default());
    let waker = Waker::from(steps.clone());
    for _ in 0..times {
        // Within the runtime, but woken by the steps alone.
        let step = poll_fn(|_| Poll::Ready(future.as_mut().poll(&mut Context::from_waker(&waker)))).await;
        if let Poll::Ready(result) = step {
            return Some(result);
        }
        tokio::time::timeout(PATIENCE, steps.0.notified()).await.expect("the future goes on");
    }
    None
}

fn message(key: &str) -> Value {
    json!({ "input": { "parts": [{ "text": "Hi" }], "model": MODEL, "idempotencyKey": key,
        "options": { "maxOutputTokens": 64 } } })
}

fn succeeded(response: &Response, field: &str) -> Value {
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    let data = response.data.clone().into_json().unwrap();
    assert_eq!(data[field]["userErrors"], json!([]), "{data}");
    data[field].clone()
}

/// Sends a message and drops it after each step; then the same key sends it, or says what was sent.
async fn drop_sends(name: &str, patience: impl Fn() -> Option<Patience>) {
    let stage = Stage::start().await;
    let url = &stage.app.db.url;
    let (mut dropped, mut accepted) = (0, 0);
    for times in 0..MOST {
        let (key, calls) = (new_key(), stage.app.provider.calls());
        let done = polled(times, stage.execute(SEND_AND_LOOK, message(&key), patience())).await;
        stage.assert_clean().await;
        let stored = number(url, &format!("SELECT count(*) FROM idempotency_keys WHERE key = '{key}'")).await;
        accepted += stored;
        let again = stage.execute(SEND_AND_LOOK, message(&key), None).await;
        succeeded(&again, "sendMessage");
        stage.assert_clean().await;
        assert_eq!(stage.app.provider.calls(), calls + 1, "one key, one call");
        if let Some(response) = done {
            succeeded(&response, "sendMessage");
            break;
        }
        dropped += 1;
    }
    assert!((3..MOST).contains(&dropped), "{dropped} steps");
    assert!(accepted >= 1, "no message was accepted before its caller left");
    println!("dropped futures n={dropped} operation={name} accepted={accepted} ok");
    stage.app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_dropped_after_each_step_is_one_turn_or_none() {
    drop_sends("sendMessage", || None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_caller_waits_for_its_end_may_be_dropped_after_each_step() {
    drop_sends("sendMessage+wait", || Some(Patience::new(PATIENCE))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_dropped_after_each_step_settles_once() {
    let stage = Stage::start().await;
    let url = &stage.app.db.url;
    let mut dropped = 0;
    for times in 0..MOST {
        let (gate, calls) = (Gate::default(), stage.app.provider.calls());
        stage.app.provider.then(Script::text("Never.", 2).gate_after(1, &gate));
        let sent = stage.person.send_text("Hi", json!({ "options": { "maxOutputTokens": 64 } })).await;
        stage.app.provider.called(calls + 1).await;
        let id = json!({ "input": { "id": sent["assistantMessage"]["generation"]["id"] } });
        let done = polled(times, stage.execute(CANCEL, id.clone(), None)).await;
        // Whether it was heard or not, to ask again does no harm.
        let again = stage.execute(CANCEL, id, None).await;
        assert_eq!(succeeded(&again, "cancelGeneration")["generation"]["status"], "CANCELED");
        stage.assert_clean().await;
        let resolutions = "SELECT count(*) FROM holds h WHERE 1 <> (SELECT count(DISTINCT kind) FROM ledger_entries e \
                            WHERE e.hold_id = h.id AND e.kind <> 'hold')";
        assert_eq!(number(url, resolutions).await, 0);
        if let Some(response) = done {
            succeeded(&response, "cancelGeneration");
            break;
        }
        dropped += 1;
    }
    assert!((3..MOST).contains(&dropped), "{dropped} steps");
    println!("dropped futures n={dropped} operation=cancelGeneration ok");
    stage.app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adjustment_dropped_after_each_step_is_booked_once() {
    let stage = Stage::start().await;
    let url = &stage.app.db.url;
    stage.app.db.execute("UPDATE users SET role = 'admin'").await;
    let viewer = stage.person.gql("{ viewer { account { id } } }", json!({})).await;
    let account = viewer.data()["viewer"]["account"]["id"].clone();
    let (mut dropped, mut booked) = (0, 0);
    for times in 0..MOST {
        let key = new_key();
        let input = json!({ "input": { "accountId": account, "amount": "1", "reason": "Prize", "idempotencyKey": key } });
        let done = polled(times, stage.execute(ADJUST, input.clone(), None)).await;
        stage.assert_clean().await;
        let of_key = format!("SELECT count(*) FROM credit_adjustments WHERE key = '{key}'");
        booked += number(url, &of_key).await;
        let again = stage.execute(ADJUST, input, None).await;
        assert_eq!(succeeded(&again, "adjustCredits")["adjustment"]["amount"], "1.000000");
        stage.assert_clean().await;
        let entries = number(url, "SELECT count(*) FROM ledger_entries WHERE kind = 'adjust'").await;
        assert_eq!(entries, i64::try_from(times).unwrap() + 1, "one key, one entry");
        if let Some(response) = done {
            succeeded(&response, "adjustCredits");
            break;
        }
        dropped += 1;
    }
    assert!((3..MOST).contains(&dropped), "{dropped} steps");
    assert!(booked >= 2, "nothing was booked before its caller left");
    println!("dropped futures n={dropped} operation=adjustCredits booked={booked} ok");
    stage.app.close().await;
}
