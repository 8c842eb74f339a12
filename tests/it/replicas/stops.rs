//! Stopping an answer from the process that runs it and from another, at every point of its beginning, and in the moment
//! of its end: one answer everywhere, what was made is kept and paid for, and the provider is hung up on.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    generations::{
        cancel::cancel,
        fed::{Fed, ROOMY},
    },
    support::{
        binary::{Binary, Launch},
        client::Client,
        cluster::variable,
        db::TestDb,
        feed::{Dice, Feed},
        provider::{Gate, Script, ScriptedProvider},
        reader::{Got, Reader},
        restart::{SIGNING_KEY, check_ledger},
        rows::{connect, message_uuid, row, stored},
        ws::Socket,
    },
};

/// More than are said before any of the stops is heard of.
const PIECES: usize = 1000;
/// Chunks after which it is stopped at the latest.
const LATEST: usize = 20;
const AT_ONCE: usize = 10;
/// When an answer has all been said; the stops that race with it come before and after.
const END: Duration = Duration::from_millis(200);

/// Two processes, and the same person at both of them.
struct Two {
    db: TestDb,
    provider: ScriptedProvider,
    near: Client,
    far: Client,
    _processes: [Binary; 2],
}

impl Two {
    async fn start() -> Self {
        let db = TestDb::create().await;
        let provider = ScriptedProvider::start().await;
        let settings = format!("{ROOMY}operations_per_socket = 1000\n{SIGNING_KEY}");
        let launch = Launch { database_url: &db.url, provider: provider.base_url(), settings: &settings };
        let processes = [Binary::start(&launch), Binary::start(&launch)];
        assert_ne!(processes[0].replica_id().await, processes[1].replica_id().await);
        let near = processes[0].client.sign_up().await;
        let far = processes[1].client.with_token(near.token.clone().unwrap());
        Self { db, provider, near, far, _processes: processes }
    }

    /// Somebody new.
    async fn renew(&mut self) {
        self.near = self.near.sign_up().await;
        self.far = self.far.with_token(self.near.token.clone().unwrap());
    }

    async fn held(&self, message_id: &str) -> i64 {
        let id = message_uuid(message_id);
        let query = format!("SELECT credits_held FROM generations WHERE message_id = '{id}'");
        row(&self.db.url, &query).await["credits_held"].as_i64().unwrap()
    }

    /// Stops an answer that has said `begun`, and goes on speaking or is silent.
    async fn stop_after(&self, mut fed: Fed, socket: &Socket, begun: &str, is_flowing: bool, is_near: bool) {
        fed.watch(socket).await;
        fed.read_until(begun.len()).await;
        let held = self.held(&fed.message_id).await;
        let person = if is_near { &self.near } else { &self.far };
        let payload = tokio::select! {
            payload = cancel(person, &fed.generation_id) => payload,
            () = flow(&mut fed.feed, is_flowing) => unreachable!(),
        };
        fed.reader.read_to_end().await;
        let (status, charged) = self.compare(&payload, &fed.reader).await;
        assert_eq!(&*status, "canceled");
        assert!(fed.reader.text.starts_with(begun));
        assert!(fed.feed.text.starts_with(&fed.reader.text) && fed.feed.text != fed.reader.text);
        assert!(0 < charged && charged < held, "{charged} of {held} held");
    }

    /// What the payload of a stop says agrees with the rows. Returns the status and what was charged, in micro-credits.
    async fn compare(&self, payload: &Value, reader: &Reader) -> (String, i64) {
        assert_eq!(payload["userErrors"], json!([]), "{payload}");
        let stored = stored(&mut connect(&self.db.url).await, &reader.message_id).await;
        let id = message_uuid(&reader.message_id);
        let query = format!("SELECT status, credits_charged FROM generations WHERE message_id = '{id}'");
        let run = row(&self.db.url, &query).await;
        assert_eq!(run, json!({ "status": stored.status, "credits_charged": stored.charged }));
        let generation = &payload["generation"];
        assert_eq!(generation["status"], json!(stored.status.to_uppercase()), "{payload}");
        let charged = generation["charge"]["creditsCharged"].as_str().unwrap().replace('.', "");
        assert_eq!(charged.parse::<i64>().ok(), stored.charged, "{payload}");
        assert_eq!(reader.end.as_ref().unwrap()["finishReason"], generation["finishReason"]);
        assert_eq!((&reader.text, reader.sequence), (&stored.text, Some(stored.sequence)));
        (stored.status, stored.charged.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_stopped_at_each_of_its_first_chunks_from_everywhere() {
    let mut two = Two::start().await;
    let pieces: Vec<String> = (0..PIECES).map(|n| format!("Stück {n}, ")).collect();
    let mut done = 0;
    for chunks in 0..=LATEST {
        two.renew().await;
        let socket = Socket::connect(&two.far).await;
        let answers = vec![pieces.clone(); 4];
        let started = Fed::start_all(&two.provider, &two.near, &answers).await;
        let cases = [(true, true), (true, false), (false, true), (false, false)];
        let stops = started.into_iter().zip(cases).map(|(fed, (is_flowing, is_near))| {
            let (two, socket, begun) = (&two, &socket, pieces[..chunks].concat());
            async move { two.stop_after(fed, socket, &begun, is_flowing, is_near).await }
        });
        done += join_all(stops).await.len();
        // The provider was hung up on, in the midst of what it has to say.
        two.provider.idle().await;
    }
    for is_near in [true, false] {
        let gate = Gate::default();
        let calls = two.provider.calls();
        two.provider.then(Script::text("Never.", 1).gate(&gate));
        let sent = two.near.send_text("Begin.", json!({})).await["assistantMessage"].clone();
        two.provider.called(calls + 1).await;
        let mut reader = Reader::open(&Socket::connect(&two.far).await, sent["id"].as_str().unwrap()).await;
        let person = if is_near { &two.near } else { &two.far };
        let payload = cancel(person, sent["generation"]["id"].as_str().unwrap()).await;
        reader.read_to_end().await;
        // It has not even begun to answer: nobody was hung up on before the head.
        gate.open();
        two.provider.idle().await;
        assert_eq!(two.compare(&payload, &reader).await, ("canceled".to_owned(), 0));
        done += 1;
    }
    assert_eq!(done, (LATEST + 1) * 4 + 2);
    println!("stops n={done} {} ok", check_ledger(&two.db.url));
}

/// Goes on speaking, or stays silent.
async fn flow(feed: &mut Feed, is_flowing: bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    while is_flowing && feed.given_bytes() < feed.text.len() - 100 {
        ticks.tick().await;
        feed.give(1);
    }
    std::future::pending().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_moment_of_the_end_has_one_outcome_everywhere() {
    let rounds = if variable("TEST_SCALE").is_some() { 1000 } else { 50 };
    let mut dice = Dice::throw("stop_races");
    let mut two = Two::start().await;
    let (mut done, mut canceled) = (0, 0);
    while done < rounds {
        two.renew().await;
        let socket = Socket::connect(&two.far).await;
        let answers: Vec<_> = (0..AT_ONCE).map(|_| dice.pieces(4)).collect();
        let started = Fed::start_all(&two.provider, &two.near, &answers).await;
        let races = started.into_iter().enumerate().map(|(n, fed)| {
            let pause = Duration::from_millis(u64::try_from(dice.below(250)).unwrap());
            let (person, socket) = (if n % 2 == 0 { &two.near } else { &two.far }, &socket);
            async move { race(fed, person, socket, pause).await }
        });
        for (payload, fed) in join_all(races).await {
            let (status, _) = two.compare(&payload, &fed.reader).await;
            match &*status {
                "canceled" => canceled += 1,
                "succeeded" => assert_eq!(fed.reader.text, fed.feed.text),
                other => panic!("{other}"),
            }
            done += 1;
        }
    }
    assert_eq!(done, rounds);
    assert!((1..done).contains(&canceled), "{canceled} of {done}: it was no race");
    println!("stop_races n={done} canceled={canceled} {} ok", check_ledger(&two.db.url));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_elsewhere_is_done_when_the_conversation_is_deleted() {
    let two = Two::start().await;
    let socket = Socket::connect(&two.far).await;
    let pieces: Vec<String> = (0..9).map(|n| format!("{n}, ")).collect();
    let mut fed = Fed::start(&two.provider, &two.near, &pieces).await;
    fed.watch(&socket).await;
    fed.read_until(pieces[..3].concat().len()).await;
    let delete = "mutation($id: ID!) { deleteConversation(input: { id: $id }) { userErrors { code } } }";
    let deleted = two.near.gql(delete, json!({ "id": fed.conversation_id })).await;
    assert_eq!(deleted.data()["deleteConversation"]["userErrors"], json!([]));
    while fed.reader.next().await != Got::Complete {}
    two.provider.idle().await;
}

/// Everything is said, and it is stopped a moment before or after.
async fn race(mut fed: Fed, person: &Client, socket: &Socket, pause: Duration) -> (Value, Fed) {
    fed.watch(socket).await;
    assert_eq!(fed.reader.next().await, Got::Snapshot);
    let stop = async {
        tokio::time::sleep(pause).await;
        cancel(person, &fed.generation_id).await
    };
    let say = async {
        tokio::time::sleep(END).await;
        fed.feed.give_all();
    };
    let (payload, ()) = tokio::join!(stop, say);
    fed.reader.read_to_end().await;
    (payload, fed)
}
