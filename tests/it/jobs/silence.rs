//! What a process keeps doing when connections are of no use: because the network has gone without a word, or because
//! all who may have one wait for the same lock.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use futures_util::FutureExt;
use loquent::{
    domains::credits,
    jobs::{Failure, Job, Options, Registry, Run, enqueue},
};
use serde::{Deserialize, Serialize};

use super::stage::{Act, Stage, note};
use crate::support::{
    app::TestApp,
    db::TestDb,
    proxy::Proxy,
    rows::{connect, execute, row, row_when},
};

/// Beyond the lease, so that who renews it too late is found by the query and not by the clock of the test.
const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_connections_go_silent_renews_its_lease_and_ends_its_jobs() {
    let db = TestDb::create().await;
    let proxy = Proxy::start(&db.url).await;
    let url = db.url.clone();
    let stage = Stage::open_through(&proxy, db).await;
    let replica = stage.app.app.generations.replica_id();
    let running = stage.enqueue("runs", Act::Wait, Options::default()).await.unwrap();
    stage.next().await;

    let silence = proxy.silence();
    stage.exits.add_permits(1);
    let waiting = stage.enqueue("waits", Act::Return, Options::default()).await.unwrap();
    let lease = row(&url, "SELECT lease_until, loquent_now() AS now FROM replicas").await;
    // In time, and by a flush that began after the silence.
    let renewed = format!(
        "SELECT lease_until FROM replicas WHERE id = '{replica}' AND lease_until > loquent_now() \
           AND loquent_now() < {} AND lease_until > {}::timestamptz + interval '9 seconds'",
        quoted(&lease["lease_until"]),
        quoted(&lease["now"])
    );
    row_when(&url, LIMIT, &renewed).await;
    stage.job_when(running, "done").await;
    assert_eq!(stage.next().await.name, "waits");
    stage.job_when(waiting, "done").await;
    let replicas = row(&url, "SELECT count(*) AS n, max(fenced_at) AS fenced_at FROM replicas").await;
    assert_eq!((replicas["n"].as_i64(), replicas["fenced_at"].is_null()), (Some(1), true));
    drop(silence);
    // Those of the other pool are dead now, and found so one after the other.
    let check = async { while credits::check(&stage.app.app.api.db).await.is_err() {} };
    tokio::time::timeout(LIMIT, check).await.unwrap();
    stage.close().await;
    println!("job_silence n=1 ok");
}

/// A text of JSON as one of SQL.
fn quoted(text: &serde_json::Value) -> String {
    format!("'{}'", text.as_str().unwrap())
}

/// Waits within its transaction for as long as the table is locked.
#[derive(Debug, Serialize, Deserialize)]
struct Queues {}

impl Job for Queues {
    const NAME: &'static str = "tests.queues";
    const LIMIT: Duration = Duration::from_secs(60);
    type Context = ();

    async fn run(self, (): (), run: Run) -> Result<(), Failure> {
        run.complete(|conn| note(conn, "queued".to_owned()).boxed()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_all_wait_for_a_lock_leave_the_process_its_lease() {
    // As many as the pool has connections, and as run at a time.
    const JOBS: i64 = 8;
    let mut registry = Registry::default();
    registry.register::<Queues>(()).unwrap();
    let app = TestApp::builder().settings("[streams]\nlease_ms = 1000").jobs(registry).start().await;
    let url = app.db.url.clone();
    execute(&url, "CREATE TABLE effects (name text NOT NULL)").await;
    let mut blocker = connect(&url).await;
    blocker.batch_execute("BEGIN; LOCK TABLE effects").await.unwrap();
    let mut conn = connect(&url).await;
    for _ in 0..JOBS {
        enqueue(&mut conn, &Queues {}, Options::default()).await.unwrap();
    }
    app.app.job_hints.nudge();
    let all_run = format!("SELECT count(*) AS n FROM jobs WHERE state = 'running' HAVING count(*) = {JOBS}");
    row_when(&url, LIMIT, &all_run).await;
    const STUCK: &str = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() \
        AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO effects%' HAVING count(*) >= 4";
    row_when(&url, LIMIT, STUCK).await;
    // Renewed for three leases; a statement waits for a lock much longer than that.
    let now = row(&url, "SELECT loquent_now() AS now").await["now"].clone();
    let renewed = format!(
        "SELECT lease_until FROM replicas WHERE fenced_at IS NULL AND lease_until > {}::timestamptz + interval '4 seconds'",
        quoted(&now)
    );
    row_when(&url, LIMIT, &renewed).await;
    let stuck = row(&url, STUCK).await["n"].as_i64().unwrap();
    blocker.batch_execute("COMMIT").await.unwrap();
    let all_done = format!("SELECT 1 AS one FROM jobs WHERE state = 'done' HAVING count(*) = {JOBS}");
    row_when(&url, LIMIT, &all_done).await;
    assert_eq!(row(&url, "SELECT count(*) AS n FROM effects").await["n"], JOBS);
    app.close().await;
    println!("job_lease_under_locks n={JOBS} stuck={stuck} ok");
}
