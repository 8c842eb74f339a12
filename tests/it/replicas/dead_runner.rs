//! Runner, sender and watcher in three processes. The process that accepts a message runs its answer, so the runner is
//! the one that was asked first; the sender asks again under the same keys, and the watcher only watches. When the runner
//! is killed, whoever watches elsewhere gets the end in the subscription that is open.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    generations::fed::{Fed, ROOMY},
    support::{
        app::new_key,
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

/// Answers of one runner.
const RUNS: usize = 5;
/// More than any of them gets to say.
const PIECES: usize = 200;
/// From the kill to the terminal event, at every watcher.
const LIMIT: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn watchers_elsewhere_get_the_end_of_what_a_dead_process_ran() {
    let kills = if variable("TEST_SCALE").is_some() { 50 } else { 5 };
    kill_runners("dead_runner", kills, "[streams]\nlease_ms = 1000").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_elsewhere_get_the_end_within_the_lease_of_production_and_a_little() {
    kill_runners("dead_runner_lease_8s", 1, "").await;
}

/// One answer, what it was asked under, and how it shall go.
struct Case {
    key: String,
    fed: Fed,
    fate: Fate,
}

#[derive(Clone, Copy)]
enum Fate {
    /// Says nothing.
    Silent,
    /// Says a little, again and again.
    Speaking,
    /// Gets all of its text in the moment of the kill.
    Ending,
}

async fn kill_runners(name: &str, kills: usize, streams: &str) {
    let mut dice = Dice::throw(name);
    let db = TestDb::create().await;
    let provider = ScriptedProvider::start().await;
    let settings = format!("{ROOMY}{SIGNING_KEY}{streams}");
    let launch = Launch { database_url: &db.url, provider: provider.base_url(), settings: &settings };
    let (sender, watcher) = (Binary::start(&launch), Binary::start(&launch));
    let token = sender.client.sign_up().await.token.unwrap();
    let (asking, watching) = (sender.client.with_token(&token), watcher.client.with_token(&token));
    let (mut runs, mut slowest, mut finished) = (0, Duration::ZERO, 0);
    for _ in 0..kills {
        let runner = Binary::start(&launch);
        let ids = [runner.replica_id().await, sender.replica_id().await, watcher.replica_id().await];
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 3, "three processes: {ids:?}");
        let cases = start(&mut dice, &provider, &runner.client.with_token(&token)).await;
        let read = kill_while_read(&mut dice, runner, &asking, &watching, cases).await;
        for (case, after_kill) in read {
            slowest = slowest.max(after_kill);
            finished += usize::from(look(&db.url, &ids[0], &asking, &case).await);
            runs += 1;
        }
    }
    assert!(slowest <= LIMIT, "a watcher got the end {slowest:?} after the kill");
    assert_eq!(runs, kills * RUNS);
    println!(
        "{name} n={runs} kills={kills} finished={finished} slowest={slowest:?} {} ok",
        check_ledger(&db.url)
    );
}

/// Starts the answers in the process of `person`.
async fn start(dice: &mut Dice, provider: &ScriptedProvider, person: &Client) -> Vec<Case> {
    let mut cases = Vec::new();
    for n in 0..RUNS {
        let (key, pieces) = (new_key(), dice.pieces(PIECES));
        let fed = Fed::start_under(&key, provider, person, &pieces).await;
        let fate = match n {
            0 => Fate::Silent,
            1 => Fate::Ending,
            _ => Fate::Speaking,
        };
        cases.push(Case { key, fed, fate });
    }
    cases
}

/// Kills the runner when its watchers have got a number of events that the dice say. Returns how long after the kill each
/// of them got its end; nothing for one that got it before.
async fn kill_while_read(
    dice: &mut Dice,
    runner: Binary,
    asking: &Client,
    watching: &Client,
    mut cases: Vec<Case>,
) -> Vec<(Case, Duration)> {
    let socket = Socket::connect(watching).await;
    for case in &mut cases {
        case.fed.watch(&socket).await;
        assert_eq!(case.fed.reader.next().await, Got::Snapshot);
        assert_is_same(&Fed::send(&case.key, asking).await, &case.fed);
    }
    let enough = 1 + dice.below(60);
    let moment = Duration::from_millis(u64::try_from(dice.below(40)).unwrap());
    let events = watch::Sender::new(0_usize);
    let now = CancellationToken::new();
    let readings = cases.into_iter().map(|case| read_to_end(case, &events, &now));
    let kill = async {
        events.subscribe().wait_for(|events| *events >= enough).await.unwrap();
        now.cancel();
        tokio::time::sleep(moment).await;
        let at = Instant::now();
        runner.kill();
        at
    };
    let (read, killed_at) = tokio::join!(join_all(readings), kill);
    read.into_iter().map(|(case, ended_at)| (case, ended_at.saturating_duration_since(killed_at))).collect()
}

/// Reads to the terminal event and the completion right after it, in one subscription.
async fn read_to_end(
    mut case: Case,
    events: &watch::Sender<usize>,
    now: &CancellationToken,
) -> (Case, Instant) {
    let mut ended_at = None;
    loop {
        let next = async {
            match case.fate {
                Fate::Silent => {}
                Fate::Speaking => case.fed.feed.give_after(case.fed.reader.text.len()),
                Fate::Ending if now.is_cancelled() => case.fed.feed.give_all(),
                Fate::Ending => {
                    now.cancelled().await;
                    case.fed.feed.give_all();
                }
            }
            case.fed.reader.next().await
        };
        match next.await {
            Got::Delta => events.send_modify(|events| *events += 1),
            Got::End => ended_at = Some(Instant::now()),
            Got::Complete => return (case, ended_at.expect("a terminal event before the completion")),
            other => panic!("{other:?}"),
        }
    }
}

/// What a sender elsewhere gets under the same key is this answer, and nothing of it that was not said.
fn assert_is_same(sent: &Value, fed: &Fed) {
    assert_eq!(sent["assistantMessage"]["id"], json!(fed.message_id), "{sent}");
    assert_eq!(sent["assistantMessage"]["generation"]["id"], json!(fed.generation_id), "{sent}");
    assert!(fed.feed.text.starts_with(sent["assistantMessage"]["text"].as_str().unwrap()), "{sent}");
}

/// True when the answer was finished by its runner, before it died.
async fn look(url: &str, runner: &str, asking: &Client, case: &Case) -> bool {
    let mut conn = connect(url).await;
    let Case { key, fed, .. } = case;
    let stored = stored(&mut conn, &fed.message_id).await;
    let end = fed.reader.end.as_ref().unwrap();
    let is_finished = stored.status == "succeeded";
    match is_finished {
        true => assert_eq!((&end["__typename"], &stored.text), (&json!("MessageFinished"), &fed.feed.text)),
        false => {
            assert_eq!(stored.status, "interrupted");
            assert_eq!(
                (&end["__typename"], &end["error"]["code"]),
                (&json!("MessageFailed"), &json!("INTERRUPTED"))
            );
            assert_eq!(stored.charged == Some(0), stored.text.is_empty(), "{stored:?}");
        }
    }
    assert_eq!((&fed.reader.text, fed.reader.sequence), (&stored.text, Some(stored.sequence)));
    assert!(fed.feed.text[..fed.feed.given_bytes()].starts_with(&stored.text), "{stored:?}");
    let message = message_uuid(&fed.message_id);
    let query = format!("SELECT replica_id FROM generations WHERE message_id = '{message}'");
    assert_eq!(rows(&mut conn, &query).await, [json!({ "replica_id": runner })], "it ran elsewhere");
    let again = Fed::send(key, asking).await;
    assert_is_same(&again, fed);
    assert_eq!(again["assistantMessage"]["text"], json!(stored.text));
    is_finished
}
