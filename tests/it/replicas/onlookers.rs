//! What the watchers of a process cost the database when the answer is written elsewhere.

use std::time::{Duration, Instant};

use crate::{
    generations::fed::{Fed, ROOMY},
    support::{
        binary::{Binary, Launch},
        db::TestDb,
        feed::Dice,
        provider::ScriptedProvider,
        proxy::Proxy,
        reader::{Got, Reader},
        restart::SIGNING_KEY,
        ws::Socket,
    },
};

const PIECES: usize = 30;
/// Shortest time between two looks.
const PACE: Duration = Duration::from_millis(50);
/// Many times that.
const SILENCE: Duration = Duration::from_millis(500);

/// Statements of watching: readings of a message, looks for news, readings of ends.
fn asked(proxy: &Proxy, mark: usize) -> [usize; 3] {
    let flights = proxy.since(mark);
    ["AS viewer, ?::uuid AS message_id", "looked AS (", "'[]'::jsonb AS events"].map(|text| {
        let text = text.replacen('?', "$2", 1);
        flights.iter().filter(|flight| !flight.is_preparation && flight.sql.contains(&text)).count()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_asked_the_same_for_one_watcher_and_for_fifty() {
    let mut dice = Dice::throw("onlookers");
    let db = TestDb::create().await;
    let provider = ScriptedProvider::start().await;
    let proxy = Proxy::start(&db.url).await;
    let settings = format!("{ROOMY}operations_per_socket = 1000\n{SIGNING_KEY}");
    let start = |database_url| {
        Binary::start(&Launch { database_url, provider: provider.base_url(), settings: &settings })
    };
    let (runner, watcher) = (start(&db.url), start(proxy.url()));
    assert_ne!(runner.replica_id().await, watcher.replica_id().await);
    let person = runner.client.sign_up().await;
    let socket = Socket::connect(&watcher.client.with_token(person.token.clone().unwrap())).await;
    for watchers in [1, 50] {
        let mut fed = Fed::start(&provider, &person, &dice.pieces(PIECES)).await;
        let (mark, begun) = (proxy.count(), Instant::now());
        let mut readers = Vec::new();
        for _ in 0..watchers {
            let mut reader = Reader::open(&socket, &fed.message_id).await;
            assert_eq!(reader.next().await, Got::Snapshot);
            readers.push(reader);
        }
        for _ in 0..PIECES {
            fed.feed.give(1);
            for reader in &mut readers {
                while reader.text.len() < fed.feed.given_bytes() {
                    assert_eq!(reader.next().await, Got::Delta);
                }
            }
        }
        for reader in &mut readers {
            assert_eq!(reader.read_to_end().await["__typename"], "MessageFinished");
            assert_eq!((&reader.text, reader.snapshots), (&fed.feed.text, 1));
        }
        let [reads, looks, ends] = asked(&proxy, mark);
        let most = begun.elapsed().as_millis() / PACE.as_millis() + 2;
        assert_eq!((reads, ends), (watchers, 1), "each reads once, and the end is read once for all");
        assert!(looks >= 1 && looks as u128 <= most, "{looks} looks and no more than {most}");
        let mark = proxy.count();
        tokio::time::sleep(SILENCE).await;
        assert_eq!(asked(&proxy, mark), [0; 3], "nobody watches any more");
        println!("onlookers n={watchers} reads={reads} looks={looks} most={most} ends={ends} ok");
    }
}
