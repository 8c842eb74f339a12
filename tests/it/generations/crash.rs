//! SIGKILL of the real binary in the midst of many answers: what people saw is kept and paid for, what they did not see
//! costs nothing, and the next process ends every answer once.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::watch;

use super::fed::{Fed, ROOMY};
use crate::support::{
    binary::{Binary, Launch},
    client::Client,
    cluster::variable,
    db::TestDb,
    feed::Dice,
    provider::ScriptedProvider,
    reader::Got,
    restart::{SIGNING_KEY, check_ledger},
    rows::{connect, row, row_when, stored},
    ws::Socket,
};

const STREAMS: usize = 20;
/// Answers that have said nothing when the process dies.
const SILENT: usize = 3;
/// More than any of them gets to say.
const PIECES: usize = 300;
/// From the kill to the end of every answer, the start of the next process included.
const LIMIT: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_leaves_what_was_seen_and_no_hold() {
    let kills = if variable("TEST_SCALE").is_some() { 20 } else { 2 };
    kill_and_look("crash", kills, "[streams]\nlease_ms = 1000").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_leaves_what_was_seen_and_no_hold_with_the_lease_of_production() {
    kill_and_look("crash_lease_8s", 1, "").await;
}

async fn kill_and_look(name: &str, kills: usize, streams: &str) {
    let mut dice = Dice::throw(name);
    let db = TestDb::create().await;
    let provider = ScriptedProvider::start().await;
    let settings = format!("{ROOMY}operations_per_socket = 1000\n{SIGNING_KEY}{streams}");
    let launch = Launch { database_url: &db.url, provider: provider.base_url(), settings: &settings };
    let mut binary = Binary::start(&launch);
    let person = binary.client.sign_up().await;
    let (mut seen_bytes, mut pids, mut slowest) = (0, Vec::new(), Duration::ZERO);
    for _ in 0..kills {
        pids.push(binary.pid());
        let before = binary.client.with_token(person.token.clone().unwrap());
        let (read, killed_at, next) = crash(&mut dice, binary, &before, &provider, &launch).await;
        binary = next;
        slowest = slowest.max(killed_at.elapsed());
        assert!(slowest <= LIMIT, "the answers ended {slowest:?} after the kill");
        seen_bytes += read.iter().map(|fed| fed.reader.text.len()).sum::<usize>();
        let after = binary.client.with_token(person.token.clone().unwrap());
        look(&db.url, &after, read).await;
    }
    let verdict = check_ledger(&db.url);
    let runs = row(&db.url, "SELECT count(*) AS n FROM generations").await["n"].as_u64().unwrap();
    assert_eq!(runs, u64::try_from(kills * STREAMS).unwrap());
    assert_eq!(pids.len(), kills, "the process was killed less often than asked");
    binary.kill();
    println!(
        "{name} n={runs} kills={kills} pids={pids:?} seen_bytes={seen_bytes} slowest={slowest:?} {verdict} ok"
    );
}

/// Kills the process when its readers have got a number of events that the dice say. Returns them, the time of the kill,
/// and the next process once it has ended every answer.
async fn crash(
    dice: &mut Dice,
    binary: Binary,
    person: &Client,
    provider: &ScriptedProvider,
    launch: &Launch<'_>,
) -> (Vec<Fed>, Instant, Binary) {
    let answers: Vec<_> = (0..STREAMS).map(|_| dice.pieces(PIECES)).collect();
    let mut streams = Fed::start_all(provider, person, &answers).await;
    let socket = Socket::connect(person).await;
    for fed in &mut streams {
        fed.watch(&socket).await;
        assert_eq!(fed.reader.next().await, Got::Snapshot);
    }
    let enough = 40 + dice.below(400);
    let events = watch::Sender::new(0_usize);
    let readings = streams.into_iter().enumerate().map(|(n, fed)| read_until_cut(fed, n < SILENT, &events));
    let kill = async {
        events.subscribe().wait_for(|events| *events >= enough).await.unwrap();
        let at = Instant::now();
        binary.kill();
        at
    };
    let (read, killed_at) = tokio::join!(join_all(readings), kill);
    let next = Binary::start(launch);
    let all_ended = "SELECT 1 AS one WHERE NOT EXISTS (SELECT FROM generations WHERE finished_at IS NULL)";
    row_when(launch.database_url, LIMIT * 2, all_ended).await;
    (read, killed_at, next)
}

/// Reads and feeds, always a little more, until the connection breaks.
async fn read_until_cut(mut fed: Fed, is_silent: bool, events: &watch::Sender<usize>) -> Fed {
    loop {
        if !is_silent {
            fed.feed.give_after(fed.reader.text.len());
        }
        match fed.reader.next().await {
            Got::Delta => events.send_modify(|events| *events += 1),
            Got::Closed(_) => return fed,
            other => panic!("{other:?}"),
        }
    }
}

async fn look(url: &str, person: &Client, read: Vec<Fed>) {
    let mut conn = connect(url).await;
    let socket = Socket::connect(person).await;
    for (n, mut fed) in read.into_iter().enumerate() {
        let stored = stored(&mut conn, &fed.message_id).await;
        assert_eq!(stored.status, "interrupted");
        assert!(stored.text.starts_with(&fed.reader.text), "somebody saw what is not stored: {stored:?}");
        assert!(fed.feed.text[..fed.feed.given_bytes()].starts_with(&stored.text), "{stored:?}");
        match stored.text.is_empty() {
            true => assert_eq!((stored.charged, &stored.usage_source), (Some(0), &None)),
            false => {
                assert!(stored.charged.is_some_and(|charged| charged > 0), "{stored:?}");
                assert_eq!(stored.usage_source.as_deref(), Some("estimated"));
            }
        }
        assert_eq!(stored.text.is_empty(), n < SILENT, "{stored:?}");
        // Whoever was watching comes back and gets the rest, and the end.
        fed.watch(&socket).await;
        let end = fed.reader.read_to_end().await;
        assert_eq!(
            (&end["__typename"], &end["error"]["code"]),
            (&json!("MessageFailed"), &json!("INTERRUPTED"))
        );
        assert_eq!((&fed.reader.text, fed.reader.sequence), (&stored.text, Some(stored.sequence)));
        assert_eq!(fed.reader.snapshots, 1);
    }
    assert_eq!(person.balance().await.1, "0.000000");
}
