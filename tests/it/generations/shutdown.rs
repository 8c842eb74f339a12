//! The end of the real binary: asked for, and not.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::fed::{Fed, ROOMY};
use crate::{
    embedded::owner::scratch,
    support::{
        app::{SEND, new_key},
        binary::{Binary, Launch},
        catalog::apply_by_command,
        client::Client,
        cluster::variable,
        db::TestDb,
        feed::Dice,
        processes::{eventually, is_alive, pid_in},
        provider::ScriptedProvider,
        reader::Got,
        restart::{SIGNING_KEY, check_bundled_ledger, check_ledger},
        rows::{connect, row, stored},
        ws::Socket,
    },
};

const STREAMS: usize = 5;
const PIECES: usize = 10;
/// From the signal to the end of the process, whatever still runs.
const LIMIT: Duration = Duration::from_secs(45);

/// A process with some answers half said, all of them read.
async fn half_read(
    binary: &Binary,
    provider: &ScriptedProvider,
    dice: &mut Dice,
) -> (Client, Socket, Vec<Fed>) {
    let person = binary.client.sign_up().await;
    let socket = Socket::connect(&person).await;
    let answers: Vec<_> = (0..STREAMS).map(|_| dice.pieces(PIECES)).collect();
    let mut streams = Fed::start_all(provider, &person, &answers).await;
    for fed in &mut streams {
        fed.watch(&socket).await;
        fed.read_until(fed.feed.text.len() / 2).await;
    }
    (person, socket, streams)
}

/// A connection whose request never ends.
async fn half_a_request(base_url: &str) -> TcpStream {
    let mut connection = TcpStream::connect(base_url.trim_start_matches("http://")).await.unwrap();
    let head = "POST /graphql HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{";
    connection.write_all(head.as_bytes()).await.unwrap();
    connection
}

/// Neither ready nor taking messages, whether it says so or does not answer at all.
async fn assert_refuses(person: &Client) {
    let ready = person.request(Method::GET, "/readyz").send().await;
    assert!(ready.is_err() || ready.is_ok_and(|answer| answer.status() == 503), "it is ready");
    let input = json!({ "parts": [{ "text": "More" }], "model": "scripted", "idempotencyKey": new_key() });
    let body = json!({ "query": SEND, "variables": { "input": input } }).to_string();
    let sent = person.post(body).header("content-type", "application/json").send().await;
    assert!(sent.is_err() || sent.is_ok_and(|answer| answer.status() == 503), "it takes a message");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_end_in_time_are_finished_before_the_process_ends() {
    let mut dice = Dice::throw("shutdown_drain");
    let db = TestDb::create().await;
    let provider = ScriptedProvider::start().await;
    let settings = format!("{ROOMY}{SIGNING_KEY}[server]\ndrain_seconds = 30");
    let mut binary =
        Binary::start(&Launch { database_url: &db.url, provider: provider.base_url(), settings: &settings });
    let (person, _socket, mut streams) = half_read(&binary, &provider, &mut dice).await;

    let begun = Instant::now();
    binary.signal(Signal::TERM);
    for fed in &mut streams {
        assert_eq!(fed.reader.next().await, Got::Closed(1012));
    }
    assert_refuses(&person).await;
    assert_eq!(binary.ended(Duration::from_millis(500)).await, None, "it did not wait for its answers");
    for fed in &mut streams {
        fed.feed.give_all();
    }
    assert_eq!(binary.ended(LIMIT).await, Some(0));
    let took = begun.elapsed();
    let mut conn = connect(&db.url).await;
    for fed in &streams {
        let stored = stored(&mut conn, &fed.message_id).await;
        assert_eq!((&*stored.status, &stored.text), ("succeeded", &fed.feed.text));
    }
    let replica = row(&db.url, "SELECT drained_at IS NOT NULL AS is_drained FROM replicas").await;
    assert_eq!(replica["is_drained"], true, "it did not say goodbye");
    println!("shutdown_drain n={STREAMS} took={took:?} {} ok", check_ledger(&db.url));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_do_not_end_in_time_are_interrupted_and_settled() {
    let mut dice = Dice::throw("shutdown_interrupt");
    let db = TestDb::create().await;
    let provider = ScriptedProvider::start().await;
    let drain = if variable("TEST_SCALE").is_some() { 30 } else { 6 };
    let settings = format!("{ROOMY}{SIGNING_KEY}[server]\ndrain_seconds = {drain}");
    let launch = Launch { database_url: &db.url, provider: provider.base_url(), settings: &settings };
    let mut binary = Binary::start(&launch);
    let (person, _socket, mut streams) = half_read(&binary, &provider, &mut dice).await;
    let _unfinished = half_a_request(&binary.client.base_url).await;

    let begun = Instant::now();
    binary.signal(Signal::TERM);
    for fed in &mut streams {
        assert_eq!(fed.reader.next().await, Got::Closed(1012));
    }
    assert_eq!(binary.ended(LIMIT).await, Some(0));
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(drain), "it did not wait: {took:?}");
    assert!(took < Duration::from_secs(drain + 4), "{took:?} for a drain of {drain} s");
    let verdict = check_ledger(&db.url);

    // The next process has nothing to end, and readers find how it went.
    let next = Binary::start(&launch);
    let person = next.client.with_token(person.token.unwrap());
    let socket = Socket::connect(&person).await;
    let mut conn = connect(&db.url).await;
    for fed in &mut streams {
        let stored = stored(&mut conn, &fed.message_id).await;
        assert_eq!((&*stored.status, &stored.text), ("interrupted", &fed.reader.text));
        assert!(stored.charged.is_some_and(|charged| charged > 0), "{stored:?}");
        fed.watch(&socket).await;
        assert_eq!(fed.reader.read_to_end().await["error"]["code"], "INTERRUPTED");
    }
    assert_eq!(person.balance().await.1, "0.000000");
    println!("shutdown_interrupt n={STREAMS} drain={drain}s took={took:?} {verdict} ok");
}

/// The pid of the bundled server in a home.
fn postgres_in(home: &Path) -> i32 {
    let entries = fs::read_dir(home).unwrap().flatten();
    let mut files = entries.map(|entry| entry.path().join("postmaster.pid")).filter(|file| file.is_file());
    pid_in(&files.next().expect("a bundled server")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bundled_database_ends_with_its_process_however_that_ends_and_keeps_every_answer() {
    let mut dice = Dice::throw("shutdown_bundled");
    let home = scratch();
    let provider = ScriptedProvider::start().await;
    let settings = format!("{ROOMY}{SIGNING_KEY}[server]\ndrain_seconds = 1\n[streams]\nlease_ms = 1000");
    let start = || Binary::start_in(home.path(), None, provider.base_url(), &settings);

    // Killed: the server goes by itself, and the next process starts over its data.
    let binary = start();
    apply_by_command(home.path(), &binary).await;
    let postgres = postgres_in(home.path());
    let (person, _socket, mut streams) = half_read(&binary, &provider, &mut dice).await;
    let pid = binary.pid();
    binary.kill();
    assert!(eventually(Duration::from_secs(15), || !is_alive(postgres)).await, "postgres {postgres} is left");
    let mut binary = start();
    let person = binary.client.with_token(person.token.unwrap());
    let socket = Socket::connect(&person).await;
    for fed in &mut streams {
        let seen = fed.reader.text.clone();
        fed.watch(&socket).await;
        assert_eq!(fed.reader.read_to_end().await["error"]["code"], "INTERRUPTED");
        assert_eq!(fed.reader.text, seen);
    }

    // Asked to end, with answers that do not.
    let next = postgres_in(home.path());
    let (_person, _socket, mut streams) = half_read(&binary, &provider, &mut dice).await;
    binary.signal(Signal::TERM);
    for fed in &mut streams {
        assert_eq!(fed.reader.next().await, Got::Closed(1012));
    }
    assert_eq!(binary.ended(LIMIT).await, Some(0));
    assert!(!is_alive(next), "postgres {next} is left");
    let verdict = check_bundled_ledger(home.path());
    println!("shutdown_bundled n={} kills=1 pid={pid} postgres={postgres} {verdict} ok", 2 * STREAMS);
}
