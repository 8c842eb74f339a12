//! One message, sent to a process that dies at a point, and what it cost.

use std::{future::IntoFuture, time::Duration};

use reqwest::{Response, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{ACCEPT, END, Point, stage::Stage};
use crate::support::{
    app::{MODEL, SEND, new_key},
    client::Client,
    provider::{Gate, Script},
    proxy::{Side, Stall},
    reader::Reader,
    rows::row_when,
    ws::Socket,
};

const PATIENCE: Duration = Duration::from_secs(20);
/// Prompt of the message in tokens, by the count of the provider and by ours.
const PROMPT: i64 = 5;
/// A token by the count of the provider and, at three bytes, by our estimate.
const TOKEN: &str = "ab ";
/// Most tokens of an answer.
const TOKENS: usize = 40;
/// Of a token, in micro-credits.
const PRICE: i64 = 1_000;

/// A message on its way.
pub struct Attempt {
    key: String,
    calls_before: usize,
    /// Ends with the process; there is none once the caller has been answered.
    sending: Option<JoinHandle<reqwest::Result<Response>>>,
    /// Tokens that the provider has certainly said and that everybody could see, and those that it has said at most.
    seen: i64,
    said: i64,
    is_called: bool,
}

/// What a provider bills that bills every token it has said, and what the customer paid, in micro-credits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bill {
    pub billed: i64,
    pub settled: i64,
    /// Largest difference that may be.
    pub most: i64,
}

impl Bill {
    pub fn add(&mut self, other: Self) {
        self.billed += other.billed;
        self.settled += other.settled;
        self.most += other.most;
    }
}

impl Attempt {
    /// Sends a message and brings the victim to the point.
    pub async fn begin(stage: &Stage, point: Point, round: usize) -> Self {
        let mut attempt = Self {
            key: new_key(),
            calls_before: stage.provider.calls(),
            sending: None,
            seen: 0,
            said: 0,
            is_called: true,
        };
        match point {
            Point::AfterHold => attempt.stop_at(stage, ACCEPT, Side::After).await,
            Point::AfterTheProviderAccepts => {
                stage.provider.then(answer(TOKENS).gate(&Gate::default()));
                attempt.send(stage).await;
                attempt.called(stage).await;
            }
            Point::MidStream | Point::InsideRecovery | Point::BeforeTheReply => {
                attempt.speak(stage, point, round).await;
            }
            Point::AfterTheLastChunk => attempt.stop_at_the_end(stage, round, Side::Before).await,
            Point::AfterCommit => attempt.stop_at_the_end(stage, round, Side::After).await,
        }
        attempt
    }

    /// The caller waits, the process waits for the database, and the provider knows nothing.
    async fn stop_at(&mut self, stage: &Stage, text: &'static str, side: Side) {
        self.is_called = false;
        let stall = stage.victim_stalls(text, side);
        self.start(stage.person(), "");
        reached(&stall).await;
    }

    /// The whole answer has been said, and is stored.
    async fn stop_at_the_end(&mut self, stage: &Stage, round: usize, side: Side) {
        let tokens = 1 + round % TOKENS;
        let stall = stage.victim_stalls(END, side);
        stage.provider.then(answer(tokens));
        self.send(stage).await;
        reached(&stall).await;
        self.seen = i64::try_from(tokens).unwrap();
        self.said = self.seen;
    }

    /// Part of the answer has been said, stored and seen. Every other round more of it is said when the process dies.
    async fn speak(&mut self, stage: &Stage, point: Point, round: usize) {
        let (seen, more) =
            (1 + round % (TOKENS / 2), if round.is_multiple_of(2) { 0 } else { 1 + round % 7 });
        let (first, second) = (Gate::default(), Gate::default());
        stage.provider.then(answer(TOKENS).gate_after(seen, &first).gate_after(seen + more, &second));
        match point {
            Point::BeforeTheReply => self.start(stage.person(), "wait=60"),
            _ => self.send(stage).await,
        }
        self.called(stage).await;
        let person = stage.person();
        let socket = Socket::connect(&person).await;
        let mut reader = Reader::new(&self.message_id(stage).await);
        reader.watch(&socket).await;
        while reader.text.len() < seen * TOKEN.len() {
            reader.next().await;
        }
        if let Some(sending) = &self.sending {
            assert!(!sending.is_finished(), "the caller has been answered");
        }
        (self.seen, self.said) = (i64::try_from(seen).unwrap(), i64::try_from(seen + more).unwrap());
        first.open();
    }

    /// Sends and is answered.
    async fn send(&mut self, stage: &Stage) {
        self.start(stage.person(), "");
        let answer = self.sending.take().unwrap().await.unwrap().unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["data"]["sendMessage"]["userErrors"], json!([]), "{answer}");
    }

    fn start(&mut self, person: Client, prefer: &'static str) {
        let request =
            person.post(body(&self.key)).header(CONTENT_TYPE, "application/json").header("prefer", prefer);
        #[expect(clippy::disallowed_methods, reason = "it ends with the process that it asks")]
        let sending = tokio::spawn(request.send().into_future());
        self.sending = Some(sending);
    }

    async fn called(&self, stage: &Stage) {
        let called = stage.provider.called(self.calls_before + 1);
        tokio::time::timeout(PATIENCE, called).await.expect("the provider is called");
    }

    /// Id of the answer, also when nobody has been told it.
    async fn message_id(&self, stage: &Stage) -> String {
        let query =
            format!("SELECT result->>'answer_id' AS id FROM idempotency_keys WHERE key = '{}'", self.key);
        let row = row_when(stage.url(), PATIENCE, &query).await;
        let id = row["id"].as_str().unwrap().parse().unwrap();
        loquent::platform::ids::Id::<loquent::domains::conversations::MessageRow>::new(id).to_string()
    }

    /// Whoever still waits has been told nothing.
    pub async fn end_without_answer(&mut self) {
        if let Some(sending) = self.sending.take() {
            let end =
                tokio::time::timeout(PATIENCE, sending).await.expect("the connection has ended").unwrap();
            assert!(end.is_err(), "a process that was killed has answered: {end:?}");
        }
    }

    /// Looks at what became of it, after the recovery.
    pub async fn look(&self, stage: &Stage, point: Point) -> Bill {
        let query = format!(
            "SELECT g.id, g.status, g.credits_held, coalesce(g.credits_charged, 0) AS charged, h.state, \
                    (SELECT count(*) FROM generations) AS generations, (SELECT count(*) FROM holds) AS holds, \
                    (SELECT count(*) FROM idempotency_keys WHERE operation = 'send_message') AS keys, \
                    (SELECT count(DISTINCT kind) FROM ledger_entries e WHERE e.hold_id = h.id AND e.kind = 'hold') AS begun, \
                    (SELECT count(DISTINCT kind) FROM ledger_entries e WHERE e.hold_id = h.id AND e.kind <> 'hold') AS ended, \
                    (SELECT -sum(e.amount)::bigint FROM ledger_entries e WHERE e.hold_id = h.id) AS paid \
               FROM idempotency_keys k JOIN generations g ON g.message_id = (k.result->>'answer_id')::uuid \
               JOIN holds h ON h.id = g.id WHERE k.key = '{}'",
            self.key
        );
        let found = stage.rows(&query).await;
        let [run] = found.as_slice() else { panic!("{} runs under one key: {found:?}", found.len()) };
        assert_eq!((&run["generations"], &run["holds"]), (&run["keys"], &run["keys"]), "{run}");
        assert_eq!((&run["begun"], &run["ended"]), (&json!(1), &json!(1)), "{run}");
        assert_eq!(run["paid"], run["charged"], "{run}");
        let status = if point == Point::AfterCommit { "succeeded" } else { "interrupted" };
        assert_eq!(run["status"], status, "{run}");
        let bill = self.bill(run);
        self.repeat(stage, status).await;
        bill
    }

    fn bill(&self, run: &Value) -> Bill {
        let settled = run["charged"].as_i64().unwrap();
        let cost = |tokens: i64| (PROMPT + tokens) * PRICE;
        let billed = if self.is_called { cost(self.said) } else { 0 };
        // What nobody has got is not paid for; what everybody could see is.
        let least = if self.seen > 0 { cost(self.seen) } else { 0 };
        assert_eq!(run["state"], if self.seen > 0 { "settled" } else { "released" }, "{run}");
        assert!((least..=billed).contains(&settled), "{settled} of {billed}, at least {least}: {run}");
        assert!(
            billed <= run["credits_held"].as_i64().unwrap(),
            "the provider bills more than was held: {run}"
        );
        Bill { billed, settled, most: billed - least }
    }

    /// The same key finds the same turn elsewhere, and calls nobody.
    async fn repeat(&self, stage: &Stage, status: &str) {
        let calls = stage.provider.calls();
        assert_eq!(calls - self.calls_before, usize::from(self.is_called), "calls of the provider");
        let body = body(&self.key);
        let person = stage.person_elsewhere();
        let answer = person.send(person.post(body).header(CONTENT_TYPE, "application/json")).await;
        let sent = &answer.data()["sendMessage"];
        assert_eq!(sent["assistantMessage"]["id"], self.message_id(stage).await, "{sent}");
        assert_eq!(sent["assistantMessage"]["status"], status.to_uppercase());
        assert_eq!(stage.provider.calls(), calls, "a repeat has called the provider");
    }
}

fn answer(tokens: usize) -> Script {
    let count = u32::try_from(tokens).unwrap();
    Script::pieces(&vec![TOKEN; tokens]).usage(u32::try_from(PROMPT).unwrap(), count)
}

fn body(key: &str) -> String {
    let input = json!({ "parts": [{ "text": "Hi" }], "model": MODEL, "idempotencyKey": key,
        "options": { "maxOutputTokens": 64 } });
    json!({ "query": SEND, "variables": { "input": input } }).to_string()
}

async fn reached(stall: &Stall) {
    tokio::time::timeout(PATIENCE, stall.reached()).await.expect("the point is reached");
}
