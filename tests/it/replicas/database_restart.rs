//! PostgreSQL restarted under load, over data that is synced: every process finds back by itself, none is declared dead,
//! and what was acknowledged is there.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use futures_util::future::join_all;
use loquent::platform::postgres::{
    embedded::{self, Cluster, Options},
    migrate,
};
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    embedded::owner::{options, scratch},
    generations::fed::{Fed, ROOMY},
    support::{
        app::{MODEL, SEND, new_key},
        binary::{Binary, Launch},
        catalog::Offer,
        client::Client,
        cluster::variable,
        feed::Dice,
        processes::pid_in,
        provider::{Script, ScriptedProvider},
        reader::Reader,
        restart::{SIGNING_KEY, check_ledger},
        rows::{connect, message_uuid, row, row_when, rows, stored},
        ws::Socket,
    },
};

/// Long answers that live through every restart, and senders of short ones in each process that serves.
const LONG: usize = 3;
const SENDERS: usize = 2;
const PIECES: usize = 40;
/// From the first connection that the server takes to the first success of every process.
const LIMIT: Duration = Duration::from_secs(10);
const LEASE: Duration = Duration::from_secs(2);

/// How the server is stopped.
#[derive(Debug, Clone, Copy)]
enum Mode {
    /// Open transactions are rolled back and the data is written out.
    Fast,
    /// As in a crash; the next start recovers.
    Immediate,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_survives_fast_restarts_of_the_database() {
    restart("restart_fast", Mode::Fast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_survives_immediate_restarts_of_the_database() {
    restart("restart_immediate", Mode::Immediate).await;
}

async fn restart(name: &str, mode: Mode) {
    let rounds = if variable("TEST_SCALE").is_some() { 10 } else { 1 };
    let mut dice = Dice::throw(name);
    let home = scratch();
    let options = options(home.path());
    let cluster = embedded::start(&options).await.unwrap();
    cluster.ensure_database("loquent").await.unwrap();
    let url = cluster.url("loquent");
    migrate::up(&url).await.unwrap();
    Offer::of_credits("1000000").apply(&url).await;
    let provider = ScriptedProvider::start().await;
    let settings = format!("{ROOMY}{SIGNING_KEY}[streams]\nlease_ms = {}", LEASE.as_millis());
    let launch = Launch { database_url: &url, provider: provider.base_url(), settings: &settings };
    let (near, far) = (Binary::start(&launch), Binary::start(&launch));
    let runner = Binary::start_runner(&launch);
    let before = [near.replica_id().await, far.replica_id().await, runner.replica_id().await];

    let mut long = Long::start(&mut dice, &provider, &near.client, &far.client).await;
    provider.always(Script::text("Short.", 1).usage(3, 1));
    let load = Load::new(&url, &[&near.client, &far.client]).await;
    let restarts = async {
        let mut cluster = cluster;
        let mut slowest = Duration::ZERO;
        for _ in 0..rounds {
            load.succeeds_after(Instant::now()).await;
            long.read_some().await;
            stop(cluster, mode).await;
            // Longer than a lease: afterwards none holds, and nobody may take that for death.
            tokio::time::sleep(LEASE * 3 / 2).await;
            cluster = start(&options).await;
            let back = Instant::now();
            let job = Uuid::now_v7();
            assert!(insert_job(&mut connect(&url).await, job).await, "the database takes a job");
            load.succeeds_after(back).await;
            is_ready(&runner.client).await;
            let is_done = format!("SELECT id FROM jobs WHERE id = '{job}' AND state = 'done'");
            row_when(&url, LIMIT * 3, &is_done).await;
            slowest = slowest.max(back.elapsed());
        }
        load.stop.cancel();
        (cluster, slowest)
    };
    let ((cluster, slowest), ()) = tokio::join!(restarts, load.run());
    assert!(slowest <= LIMIT, "{slowest:?} from the first connection to the last of the first successes");

    let after = [near.replica_id().await, far.replica_id().await, runner.replica_id().await];
    assert_eq!(before, after, "a process had to take a new identity");
    let replicas = row(&url, "SELECT count(*) AS n, count(fenced_at) AS fenced FROM replicas").await;
    assert_eq!(replicas, json!({ "n": 3, "fenced": 0 }), "one that was only cut off was declared dead");
    long.end(&url).await;
    let verdict = load.look(&url).await;
    let jobs = load.look_for_jobs().await;
    assert!(jobs > 0, "no job was enqueued");
    println!("{name} rounds={rounds} {verdict} jobs={jobs} slowest={slowest:?} {} ok", check_ledger(&url));
    drop((near, far, runner));
    cluster.stop().await;
}

async fn stop(cluster: Cluster, mode: Mode) {
    if let Mode::Immediate = mode {
        let postmaster = pid_in(&cluster.data_dir().join("postmaster.pid")).and_then(Pid::from_raw);
        kill_process(postmaster.expect("a running server"), Signal::QUIT).unwrap();
        cluster.exited().await;
    }
    cluster.stop().await;
}

async fn start(options: &Options) -> Cluster {
    let cluster = embedded::start(options).await.unwrap();
    connect(&cluster.url("loquent")).await;
    cluster
}

/// Enqueues a job that every process knows and that harms nothing. False when the database did not say that it has it.
async fn insert_job(conn: &mut AsyncPgConnection, id: Uuid) -> bool {
    let insert = format!(
        "INSERT INTO jobs (id, queue, name, payload, max_attempts) \
         VALUES ('{id}', 'default', 'upkeep.prune', '\"replicas\"', 8)"
    );
    conn.batch_execute(&insert).await.is_ok()
}

/// Returns once the process says that it is ready.
async fn is_ready(client: &Client) {
    let mut polls = tokio::time::interval(Duration::from_millis(50));
    let poll = async {
        while client.send(client.request(Method::GET, "/readyz")).await.status != 200 {
            polls.tick().await;
        }
    };
    tokio::time::timeout(LIMIT * 3, poll).await.expect("it is ready again");
}

/// Answers that live through the restarts, each watched in the process that runs it and in another.
struct Long {
    near: Vec<Fed>,
    far: Vec<Reader>,
    _sockets: [Socket; 2],
}

impl Long {
    async fn start(dice: &mut Dice, provider: &ScriptedProvider, near: &Client, far: &Client) -> Self {
        let person = near.sign_up().await;
        let elsewhere = far.with_token(person.token.clone().unwrap());
        let sockets = [Socket::connect(&person).await, Socket::connect(&elsewhere).await];
        let answers: Vec<_> = (0..LONG).map(|_| dice.pieces(PIECES)).collect();
        let mut near = Fed::start_all(provider, &person, &answers).await;
        let mut far = Vec::new();
        for fed in &mut near {
            fed.watch(&sockets[0]).await;
            far.push(Reader::open(&sockets[1], &fed.message_id).await);
        }
        Self { near, far, _sockets: sockets }
    }

    /// A little more of each arrives near, and is on its way to the other.
    async fn read_some(&mut self) {
        for fed in &mut self.near {
            fed.read_until(fed.reader.text.len() + 1).await;
        }
    }

    /// All of it is said, and read to the end by everybody in the subscriptions that they had.
    async fn end(&mut self, url: &str) {
        let mut conn = connect(url).await;
        for (fed, far) in self.near.iter_mut().zip(&mut self.far) {
            assert_eq!(fed.read_to_end().await["__typename"], "MessageFinished");
            assert_eq!(far.read_to_end().await["__typename"], "MessageFinished");
            let stored = stored(&mut conn, &fed.message_id).await;
            assert_eq!((&*stored.status, &stored.text), ("succeeded", &fed.feed.text));
            assert_eq!((&fed.reader.text, &far.text), (&stored.text, &stored.text));
        }
    }
}

/// A message that somebody was told is accepted.
struct Acknowledged {
    message_id: String,
    /// An earlier request under the same key failed, so it may have been accepted without a word.
    is_repeat: bool,
}

/// People who send one message after the other, each until it is accepted, and somebody who enqueues jobs of the house.
struct Load {
    url: String,
    /// By the process that they send to.
    people: Vec<(usize, Client)>,
    /// Last success of each process.
    successes: watch::Sender<Vec<Option<Instant>>>,
    acknowledged: Mutex<Vec<Acknowledged>>,
    refusals: Mutex<BTreeMap<String, usize>>,
    /// Jobs that the database has said it has.
    enqueued: Mutex<Vec<Uuid>>,
    stop: CancellationToken,
}

impl Load {
    async fn new(url: &str, processes: &[&Client]) -> Self {
        let mut people = Vec::new();
        for (process, client) in processes.iter().enumerate() {
            for _ in 0..SENDERS {
                people.push((process, client.sign_up().await));
            }
        }
        Self {
            url: url.to_owned(),
            people,
            successes: watch::Sender::new(vec![None; processes.len()]),
            acknowledged: Mutex::default(),
            refusals: Mutex::default(),
            enqueued: Mutex::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Until it is told to stop, and what was begun is acknowledged.
    async fn run(&self) {
        let sending = join_all(self.people.iter().map(|(process, person)| self.send(*process, person)));
        tokio::join!(sending, self.enqueue());
    }

    /// Jobs, as fast as they are taken.
    async fn enqueue(&self) {
        let mut session = None;
        while !self.stop.is_cancelled() {
            if session.is_none() {
                session = AsyncPgConnection::establish(&self.url).await.ok();
            }
            let id = Uuid::now_v7();
            let is_there = match &mut session {
                Some(conn) => insert_job(conn, id).await,
                None => false,
            };
            match is_there {
                true => self.enqueued.lock().unwrap().push(id),
                false => session = None,
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until every job that was enqueued is done; how many there were.
    async fn look_for_jobs(&self) -> usize {
        let enqueued: Vec<String> = self.enqueued.lock().unwrap().iter().map(Uuid::to_string).collect();
        let all_done = format!(
            "SELECT count(*) AS n FROM jobs WHERE id = ANY ('{{{}}}') AND state = 'done' HAVING count(*) = {}",
            enqueued.join(","),
            enqueued.len()
        );
        row_when(&self.url, Duration::from_secs(60), &all_done).await;
        enqueued.len()
    }

    async fn send(&self, process: usize, person: &Client) {
        while !self.stop.is_cancelled() {
            let input = json!({ "parts": [{ "text": "Hi" }], "model": MODEL, "idempotencyKey": new_key(),
                                "options": { "maxOutputTokens": 10 } });
            let mut is_repeat = false;
            loop {
                let answer = person.gql(SEND, json!({ "input": input })).await;
                let sent = &answer.body["data"]["sendMessage"];
                if let Some(id) = sent["assistantMessage"]["id"].as_str() {
                    self.successes.send_modify(|successes| successes[process] = Some(Instant::now()));
                    let acknowledged = Acknowledged { message_id: id.to_owned(), is_repeat };
                    self.acknowledged.lock().unwrap().push(acknowledged);
                    break;
                }
                let code = answer.body["errors"][0]["extensions"]["code"]
                    .as_str()
                    .or(sent["userErrors"][0]["code"].as_str());
                let code = code.unwrap_or_else(|| panic!("{answer:?}")).to_owned();
                *self.refusals.lock().unwrap().entry(code).or_default() += 1;
                is_repeat = true;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Returns once every process has had a success after `since`.
    async fn succeeds_after(&self, since: Instant) {
        let mut successes = self.successes.subscribe();
        let all = successes
            .wait_for(|successes| successes.iter().all(|last| last.is_some_and(|last| last > since)));
        tokio::time::timeout(LIMIT * 3, all).await.expect("every process works again").unwrap();
    }

    /// Looks for everything that was acknowledged.
    async fn look(&self, url: &str) -> String {
        let all_ended =
            "SELECT 1 AS one WHERE NOT EXISTS (SELECT FROM generations WHERE finished_at IS NULL)";
        row_when(url, Duration::from_secs(20), all_ended).await;
        let mut conn = connect(url).await;
        let ends = rows(&mut conn, "SELECT m.id, m.status FROM messages m WHERE m.role = 'assistant'").await;
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let ends: BTreeMap<String, String> =
            ends.iter().map(|row| (text(&row["id"]), text(&row["status"]))).collect();
        let acknowledged = self.acknowledged.lock().unwrap();
        let mut interrupted = 0;
        for Acknowledged { message_id, is_repeat } in acknowledged.iter() {
            let status = ends.get(&message_uuid(message_id).to_string()).map(String::as_str);
            // Its acceptance was lost on the way, so nobody ran it.
            if *is_repeat && status == Some("interrupted") {
                interrupted += 1;
                continue;
            }
            assert_eq!(status, Some("succeeded"), "{message_id} was acknowledged");
        }
        // Keys are never accepted twice.
        assert_eq!(ends.len(), acknowledged.len() + LONG);
        let refusals = self.refusals.lock().unwrap();
        let others: Vec<_> = refusals.keys().filter(|code| *code != "SERVICE_UNAVAILABLE").collect();
        assert!(others.is_empty(), "refused otherwise than by being away: {refusals:?}");
        let refused: usize = refusals.values().sum();
        assert!(refused > 0, "the load did not notice the restarts");
        let sent = acknowledged.len();
        format!("n={sent} refused={refused} interrupted={interrupted}")
    }
}
