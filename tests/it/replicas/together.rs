//! Watching that begins in the instant in which the first words are said, and hints that are cut off: nothing is missed.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{sync::Barrier, task::JoinSet};

use crate::{
    generations::fed::{Fed, ROOMY},
    support::{
        binary::{Binary, Launch},
        cluster::variable,
        db::TestDb,
        feed::Dice,
        provider::ScriptedProvider,
        reader::{Got, Reader},
        restart::SIGNING_KEY,
        rows::{connect, row_when, stored},
        ws::Socket,
    },
};

const PIECES: usize = 8;
const AT_ONCE: usize = 10;

fn launch<'a>(db: &'a TestDb, provider: &'a ScriptedProvider, settings: &'a str) -> Launch<'a> {
    Launch { database_url: &db.url, provider: provider.base_url(), settings }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_comes_with_the_first_word_misses_nothing_wherever_it_comes() {
    let rounds = if variable("TEST_SCALE").is_some() { 1000 } else { 100 };
    let mut dice = Dice::throw("together");
    let db = TestDb::create().await;
    let provider = ScriptedProvider::start().await;
    let settings = format!("{ROOMY}operations_per_socket = 1000\n{SIGNING_KEY}");
    let (near, far) = (
        Binary::start(&launch(&db, &provider, &settings)),
        Binary::start(&launch(&db, &provider, &settings)),
    );
    assert_ne!(near.replica_id().await, far.replica_id().await);
    let mut conn = connect(&db.url).await;
    let mut done = 0;
    while done < rounds {
        let person = near.client.sign_up().await;
        let elsewhere = far.client.with_token(person.token.clone().unwrap());
        let sockets = [Arc::new(Socket::connect(&person).await), Arc::new(Socket::connect(&elsewhere).await)];
        for _ in 0..5 {
            let answers: Vec<_> = (0..AT_ONCE).map(|_| dice.pieces(PIECES)).collect();
            let started = Fed::start_all(&provider, &person, &answers).await;
            for fed in join_all(started.into_iter().map(|fed| read_from_the_first(fed, &sockets))).await {
                let stored = stored(&mut conn, &fed.message_id).await;
                assert_eq!((&*stored.status, &stored.text), ("succeeded", &fed.feed.text));
                done += 1;
            }
        }
    }
    assert_eq!(done, rounds);
    println!("together n={done} watchers={} ok", done * 4);
}

/// Lets the provider speak and four watchers begin at the same instant: with and without a number, near and far.
async fn read_from_the_first(mut fed: Fed, sockets: &[Arc<Socket>; 2]) -> Fed {
    let barrier = Arc::new(Barrier::new(5));
    let mut readings = JoinSet::new();
    for (socket, after) in [(0, None), (1, None), (0, Some(0)), (1, Some(0))] {
        let (socket, barrier) = (sockets[socket].clone(), barrier.clone());
        let mut reader = Reader::new(&fed.message_id);
        reader.sequence = after;
        readings.spawn(async move {
            barrier.wait().await;
            reader.watch(&socket).await;
            reader.read_to_end().await;
            reader
        });
    }
    barrier.wait().await;
    fed.feed.give_all();
    for reader in readings.join_all().await {
        assert_eq!(reader.text, fed.feed.text);
        assert!(reader.snapshots <= 1);
    }
    fed
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_miss_nothing_when_the_connection_for_hints_is_killed() {
    let kills = if variable("TEST_SCALE").is_some() { 100 } else { 10 };
    if variable("TEST_NOTIFY").as_deref() == Some("off") {
        return;
    }
    let mut dice = Dice::throw("listeners_killed");
    let db = TestDb::create().await;
    let provider = ScriptedProvider::start().await;
    let settings = format!("{ROOMY}{SIGNING_KEY}");
    let (near, far) = (
        Binary::start(&launch(&db, &provider, &settings)),
        Binary::start(&launch(&db, &provider, &settings)),
    );
    let person = near.client.sign_up().await;
    let sockets = [
        Socket::connect(&person).await,
        Socket::connect(&far.client.with_token(person.token.clone().unwrap())).await,
    ];
    let mut fed = Fed::start(&provider, &person, &dice.pieces(kills * 3)).await;
    let mut readers = Vec::new();
    for socket in &sockets {
        readers.push(Reader::open(socket, &fed.message_id).await);
    }
    let mut killed = 0;
    for _ in 0..kills {
        fed.feed.give(1);
        let kill = "SELECT count(*) AS n FROM (SELECT pg_terminate_backend(pid) AS is_killed FROM pg_stat_activity \
                     WHERE datname = current_database() AND pid <> pg_backend_pid() \
                       AND (query LIKE '%LISTEN loquent%' OR query LIKE '%NOTIFY loquent%')) k WHERE is_killed \
                    HAVING count(*) > 0";
        row_when(&db.url, Duration::from_secs(30), kill).await;
        killed += 1;
        fed.feed.give(1);
        for reader in &mut readers {
            while reader.text.len() < fed.feed.given_bytes() {
                let got = reader.next().await;
                assert!(matches!(got, Got::Snapshot | Got::Delta), "{got:?}");
            }
        }
    }
    fed.feed.give_all();
    for reader in &mut readers {
        assert_eq!(reader.read_to_end().await["__typename"], "MessageFinished");
        assert_eq!((&reader.text, reader.snapshots), (&fed.feed.text, 1));
    }
    assert_eq!(killed, kills);
    println!("listeners_killed n={killed} ok");
}
