//! Long answers, each watched only in processes that do not run it, by somebody who goes away five times and comes back
//! anywhere among them. The process that accepts a message runs its answer, so the sender's is the runner's here.

use futures_util::future::join_all;

use crate::{
    generations::fed::{Fed, ROOMY},
    support::{
        binary::{Binary, Launch},
        client::Client,
        cluster::variable,
        db::TestDb,
        feed::Dice,
        provider::ScriptedProvider,
        reader::Got,
        restart::{SIGNING_KEY, check_ledger},
        rows::{connect, message_uuid, rows, stored},
        ws::Socket,
    },
};

const CHUNKS: usize = 2000;
const BREAKS: usize = 5;
/// Chunks that the provider says at a time, at most, and answers at a time.
const BURST: usize = 60;
const AT_ONCE: usize = 20;

/// Where its watcher goes away, what is said meanwhile, and which process it comes back to.
struct Break {
    at: usize,
    missed: usize,
    back_at: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_watched_elsewhere_dropped_and_resumed_without_losing_or_repeating_a_byte() {
    let generations = if variable("TEST_SCALE").is_some() { 200 } else { 20 };
    let mut dice = Dice::throw("resumed");
    let db = TestDb::create().await;
    let provider = ScriptedProvider::start().await;
    let settings = format!("{ROOMY}{SIGNING_KEY}");
    let launch = Launch { database_url: &db.url, provider: provider.base_url(), settings: &settings };
    let processes = [(); 3].map(|()| Binary::start(&launch));
    let mut ids = Vec::new();
    for process in &processes {
        ids.push(process.replica_id().await);
    }
    let mut conn = connect(&db.url).await;
    let (mut done, mut deltas) = (0, 0);
    while done < generations {
        let person = processes[0].client.sign_up().await;
        let at = |process: usize| processes[process].client.with_token(person.token.clone().unwrap());
        let mut readings = Vec::new();
        for n in 0..AT_ONCE {
            let runner = n % processes.len();
            let fed = Fed::start(&provider, &at(runner), &dice.pieces(CHUNKS)).await;
            let message = message_uuid(&fed.message_id);
            let query = format!("SELECT replica_id FROM generations WHERE message_id = '{message}'");
            let ran = rows(&mut conn, &query).await;
            assert_eq!(ran[0]["replica_id"], ids[runner], "it runs where it was accepted");
            let others = [at((runner + 1) % 3), at((runner + 2) % 3)];
            for process in [(runner + 1) % 3, (runner + 2) % 3] {
                assert_ne!(ids[process], ids[runner], "who watches is elsewhere");
            }
            let breaks = breaks(&mut dice, fed.feed.text.len());
            readings.push(read_with_breaks(fed, others, breaks));
        }
        for fed in join_all(readings).await {
            let stored = stored(&mut conn, &fed.message_id).await;
            assert_eq!(&*stored.status, "succeeded");
            assert!(stored.text == fed.feed.text, "something else is stored than was said");
            assert!(fed.reader.text == stored.text, "a watcher has something else than the table");
            assert_eq!((fed.reader.sequence, fed.reader.snapshots), (Some(stored.sequence), 1));
            deltas += fed.reader.deltas;
            done += 1;
        }
    }
    assert_eq!(done, generations);
    println!(
        "resumed n={done} chunks={} breaks={} deltas={deltas} {} ok",
        done * CHUNKS,
        done * BREAKS,
        check_ledger(&db.url)
    );
}

fn breaks(dice: &mut Dice, bytes: usize) -> Vec<Break> {
    let mut breaks: Vec<Break> = (0..BREAKS)
        .map(|_| Break { at: dice.below(bytes), missed: dice.below(BURST), back_at: dice.below(2) })
        .collect();
    breaks.sort_by_key(|pause| pause.at);
    breaks
}

async fn read_with_breaks(mut fed: Fed, others: [Client; 2], breaks: Vec<Break>) -> Fed {
    let mut socket = Socket::connect(&others[0]).await;
    fed.watch(&socket).await;
    for pause in breaks {
        read_until(&mut fed, pause.at).await;
        fed.reader.leave();
        fed.feed.give(pause.missed);
        socket = Socket::connect(&others[pause.back_at]).await;
        fed.watch(&socket).await;
    }
    let all = fed.feed.text.len();
    read_until(&mut fed, all).await;
    assert_eq!(fed.read_to_end().await["__typename"], "MessageFinished");
    fed
}

async fn read_until(fed: &mut Fed, bytes: usize) {
    while fed.reader.sequence.is_none() || fed.reader.text.len() < bytes {
        if fed.feed.given_bytes() <= fed.reader.text.len() {
            fed.feed.give(BURST);
        }
        let got = fed.reader.next().await;
        assert!(matches!(got, Got::Snapshot | Got::Delta), "{got:?}");
    }
}
