//! A network that goes without a word: connections stay open, and nothing comes any more.

use std::time::Duration;

use loquent::jobs::Options;

use super::stage::{Act, Stage};
use crate::support::{
    db::TestDb,
    proxy::Proxy,
    rows::{row, row_when},
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
    stage.close().await;
    println!("job_silence n=1 ok");
}

/// A text of JSON as one of SQL.
fn quoted(text: &serde_json::Value) -> String {
    format!("'{}'", text.as_str().unwrap())
}
