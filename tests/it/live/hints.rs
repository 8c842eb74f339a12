//! Hints: heard by other processes, few however many are given, and back after the connection is lost.

use std::time::{Duration, Instant};

use loquent::platform::{
    postgres::{
        embedded::{self, Options, Profile},
        listen::{Channel, Hints, Looks},
    },
    tasks::Tasks,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    embedded::owner::{options, scratch},
    support::{
        db::TestDb,
        processes::eventually,
        rows::{execute, row_when},
    },
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Hints as two processes of one database have them.
struct Pair {
    one: Hints,
    other: Hints,
    tasks: Tasks,
    stop: CancellationToken,
    db: TestDb,
}

impl Pair {
    async fn start() -> Self {
        let (db, tasks, stop) = (TestDb::create().await, Tasks::default(), CancellationToken::new());
        let start = || Hints::start(&db.url, &tasks, stop.clone()).unwrap();
        let (one, other) = (start(), start());
        let pair = Self { one, other, tasks, stop, db };
        pair.connected().await;
        pair
    }

    async fn connected(&self) {
        let both = || self.one.outage().is_none() && self.other.outage().is_none();
        assert!(eventually(PATIENCE, both).await, "no connection hears itself");
    }

    async fn close(self) {
        self.stop.cancel();
        assert!(self.tasks.wait(PATIENCE).await);
        self.db.close().await;
    }
}

/// Whether there is something to look at, now or soon.
async fn is_told(looks: &mut Looks) -> bool {
    timeout(PATIENCE, looks.next()).await.is_ok()
}

/// Whether there is nothing to look at now.
async fn is_quiet(looks: &mut Looks) -> bool {
    timeout(Duration::ZERO, looks.next()).await.is_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_is_heard_by_other_processes_and_on_its_channel_alone() {
    let pair = Pair::start().await;
    let (mut control, mut jobs) =
        (pair.other.subscribe(Channel::Control), pair.other.subscribe(Channel::Jobs));
    assert!(is_quiet(&mut control).await);
    pair.one.send(Channel::Control);
    assert!(is_told(&mut control).await);
    pair.one.send(Channel::Control);
    assert!(is_told(&mut control).await);
    assert!(is_quiet(&mut jobs).await);
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_own_process_hears_at_once_and_not_again_from_the_server() {
    let pair = Pair::start().await;
    let (mut own, mut other) = (pair.one.subscribe(Channel::Jobs), pair.other.subscribe(Channel::Jobs));
    pair.one.send(Channel::Jobs);
    assert!(!is_quiet(&mut own).await);
    assert!(is_told(&mut other).await);
    // What the other says next comes over the connection behind the echo of the first.
    pair.other.send(Channel::Control);
    let mut control = pair.one.subscribe(Channel::Control);
    pair.other.send(Channel::Control);
    assert!(is_told(&mut control).await);
    assert!(is_quiet(&mut own).await);
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_hints_are_few_statements() {
    const HINTS: usize = 10_000;
    let pair = Pair::start().await;
    let mut looks = pair.other.subscribe(Channel::Jobs);
    let mut last = pair.other.subscribe(Channel::Control);
    let one = pair.one.clone();
    let sender = tokio::task::spawn_blocking(move || {
        (0..HINTS).for_each(|_| one.send(Channel::Jobs));
        one.send(Channel::Control);
    });
    let mut told = 0;
    let until_last = async {
        loop {
            tokio::select! {
                biased;
                () = looks.next() => told += 1,
                () = last.next() => return,
            }
        }
    };
    timeout(PATIENCE, until_last).await.unwrap();
    sender.await.unwrap();
    println!("{HINTS} hints: the other process was told {told} times");
    assert!((1..=10).contains(&told), "told {told} times");
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_connection_everybody_is_told_to_look() {
    const ROUNDS: usize = 3;
    let pair = Pair::start().await;
    for _ in 0..ROUNDS {
        let mut looks = pair.other.subscribe(Channel::Control);
        execute(
            &pair.db.url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        assert!(is_told(&mut looks).await, "nobody was told");
        let listeners = "SELECT 1 AS found FROM pg_stat_activity WHERE datname = current_database()
              AND query LIKE 'NOTIFY%' HAVING count(*) = 2";
        row_when(&pair.db.url, PATIENCE, listeners).await;
        pair.connected().await;
    }
    println!("hints_lost_connection n={ROUNDS} ok");
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_has_gone_silent_is_made_anew() {
    // A server of its own: others would wait for a process of the server that stands still.
    let home = scratch();
    let private = Options { profile: Profile::Disposable, ..options(home.path()) };
    let cluster = embedded::start(&private).await.unwrap();
    cluster.ensure_database("loquent").await.unwrap();
    let url = cluster.url("loquent");
    let (tasks, stop) = (Tasks::default(), CancellationToken::new());
    let hints = Hints::start(&url, &tasks, stop.clone()).unwrap();
    assert!(eventually(PATIENCE, || hints.outage().is_none()).await);
    let listener = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'NOTIFY%' AND state = 'idle'";
    let pid = row_when(&url, PATIENCE, listener).await["pid"].as_i64().unwrap();
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let stopped = Instant::now();
    assert!(eventually(PATIENCE, || hints.outage().is_some()).await, "nobody noticed");
    let noticed = stopped.elapsed();
    assert!(eventually(PATIENCE, || hints.outage().is_none()).await, "it did not come back");
    println!("hints_silent_connection n=1 noticed after {noticed:?} ok");
    kill_process(pid, Signal::CONT).unwrap();
    stop.cancel();
    assert!(tasks.wait(PATIENCE).await);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_they_still_work_within_the_process() {
    let hints = Hints::off();
    let mut looks = hints.subscribe(Channel::Jobs);
    assert!(is_quiet(&mut looks).await);
    hints.send(Channel::Jobs);
    assert!(is_told(&mut looks).await);
    assert!(!hints.is_on());
}
