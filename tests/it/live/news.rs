//! The look of a process at what others changed: nothing is missed, nothing is said twice, and who cannot look says so.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use diesel_async::SimpleAsyncConnection;
use loquent::platform::postgres::{
    Db,
    epochs::Scope,
    listen::{Channel, Hints},
    news::{News, OnRevocation},
    pool::PoolSettings,
    revocations::{self, Subject},
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{
    db::TestDb,
    processes::eventually,
    rows::{connect, execute, row},
};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Said {
    Revoked(Subject),
    Doubted,
    LostSight,
}

/// Believes in nothing and writes down what it is told.
#[derive(Default)]
struct Scribe(Mutex<Vec<Said>>);

#[async_trait::async_trait]
impl OnRevocation for Scribe {
    async fn revoked(&self, subject: Subject) {
        self.0.lock().unwrap().push(Said::Revoked(subject));
    }

    async fn doubted(&self) {
        self.0.lock().unwrap().push(Said::Doubted);
    }

    async fn lost_sight(&self) {
        self.0.lock().unwrap().push(Said::LostSight);
    }
}

impl Scribe {
    fn said(&self) -> Vec<Said> {
        self.0.lock().unwrap().clone()
    }
}

/// One process that looks.
struct Look {
    scribe: Arc<Scribe>,
    news: News,
    hints: Hints,
    stop: CancellationToken,
}

impl Look {
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    fn start(url: &str) -> Self {
        let wait = Duration::from_secs(2);
        let db = Db::try_new(url, PoolSettings { name: "test", size: 2, wait }).unwrap();
        let (scribe, news, hints) = (Arc::new(Scribe::default()), News::default(), Hints::off());
        let stop = CancellationToken::new();
        let work = news.clone().follow(db, hints.subscribe(Channel::Control), scribe.clone());
        let stopped = stop.clone();
        tokio::spawn(async move { stopped.run_until_cancelled_owned(work).await });
        Self { scribe, news, hints, stop }
    }

    /// Waits until so much was said.
    async fn said(&self, count: usize) -> Vec<Said> {
        assert!(eventually(PATIENCE, || self.scribe.said().len() >= count).await, "{:?}", self.scribe.said());
        self.scribe.said()
    }

    /// Waits until it has looked again, and so read whatever is committed now.
    async fn looked_again(&self, url: &str) {
        let mut changes = self.news.changes(Scope::Settings);
        execute(url, RAISE).await;
        timeout(PATIENCE, changes.changed()).await.unwrap().unwrap();
        // Epochs are compared before revocations are told, which takes no longer than the next look.
        execute(url, RAISE).await;
        timeout(PATIENCE, changes.changed()).await.unwrap().unwrap();
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

const RAISE: &str = "INSERT INTO cache_epochs (scope) VALUES ('settings')
    ON CONFLICT (scope) DO UPDATE SET epoch = cache_epochs.epoch + 1";

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_commits_after_its_younger_is_not_missed_and_each_is_said_once() {
    let db = TestDb::create().await;
    let look = Look::start(&db.url);
    let (elder, younger) = (Subject::Session(Uuid::now_v7()), Subject::User(Uuid::now_v7()));
    let (mut slow, mut quick) = (connect(&db.url).await, connect(&db.url).await);
    slow.batch_execute("BEGIN").await.unwrap();
    revocations::insert_in_tx(&mut slow, elder).await.unwrap();
    revocations::insert_in_tx(&mut quick, younger).await.unwrap();
    look.hints.send(Channel::Control);
    assert_eq!(look.said(1).await, [Said::Revoked(younger)]);
    look.looked_again(&db.url).await;
    slow.batch_execute("COMMIT").await.unwrap();
    assert_eq!(look.said(2).await, [Said::Revoked(younger), Said::Revoked(elder)]);
    look.looked_again(&db.url).await;
    assert_eq!(look.said(2).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_while_a_process_could_not_look_is_said_afterwards() {
    let db = TestDb::create().await;
    let look = Look::start(&db.url);
    look.looked_again(&db.url).await;
    // Until the commit no look comes to an end; meanwhile the clock of the database goes on by an hour.
    let subject = Subject::Session(Uuid::now_v7());
    let mut conn = connect(&db.url).await;
    conn.batch_execute("BEGIN; LOCK TABLE cache_epochs IN ACCESS EXCLUSIVE MODE").await.unwrap();
    revocations::insert_in_tx(&mut conn, subject).await.unwrap();
    conn.batch_execute(
        "CREATE OR REPLACE FUNCTION loquent_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE AS
           $$ SELECT clock_timestamp() + interval '1 hour' $$; COMMIT",
    )
    .await
    .unwrap();
    assert_eq!(look.said(1).await, [Said::Revoked(subject)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_can_be_said_is_said_in_one_word_and_once() {
    let db = TestDb::create().await;
    execute(
        &db.url,
        "INSERT INTO revocations (subject_kind, subject_id)
         SELECT 'session', gen_random_uuid() FROM generate_series(1, 6000)",
    )
    .await;
    let look = Look::start(&db.url);
    assert_eq!(look.said(1).await, [Said::Doubted]);
    look.looked_again(&db.url).await;
    assert_eq!(look.said(1).await, [Said::Doubted]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_look_for_half_a_minute_says_so() {
    let look = Look::start("postgres://nobody@127.0.0.1:1/nowhere");
    let begun = std::time::Instant::now();
    let is_said = || !look.scribe.said().is_empty();
    assert!(eventually(Duration::from_secs(60), is_said).await);
    assert_eq!(look.scribe.said(), [Said::LostSight]);
    assert!(begun.elapsed() >= Duration::from_secs(29), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn old_revocations_are_removed_and_recent_ones_kept() {
    let db = TestDb::create().await;
    execute(
        &db.url,
        "INSERT INTO revocations (subject_kind, subject_id, created_at)
         SELECT 'session', gen_random_uuid(), loquent_now() - n * interval '30 minutes'
           FROM generate_series(0, 9) AS n",
    )
    .await;
    let mut conn = connect(&db.url).await;
    assert_eq!(revocations::prune(&mut conn, 3).await.unwrap(), 3);
    assert_eq!(revocations::prune(&mut conn, 100).await.unwrap(), 3);
    assert_eq!(row(&db.url, "SELECT count(*) AS n FROM revocations").await["n"], 4);
}
