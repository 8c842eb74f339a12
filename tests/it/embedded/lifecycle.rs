use std::{fs, os::unix::process::CommandExt, path::Path, process::Command, time::Duration};

use diesel::{QueryableByName, sql_types::BigInt};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use loquent::platform::postgres::embedded::{self, Cluster, StartError};

use super::owner::{Running, options, scratch, spawn_owner};
use crate::support::processes::{eventually, is_alive, kill, pid_in};

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

async fn count_rows(url: &str) -> i64 {
    let mut conn = AsyncPgConnection::establish(url).await.expect("it answers");
    diesel::sql_query("SELECT count(*) AS n FROM kept")
        .get_result::<Count>(&mut conn)
        .await
        .expect("a count")
        .n
}

async fn insert_rows(url: &str, n: u32) {
    let mut conn = AsyncPgConnection::establish(url).await.expect("it answers");
    let sql =
        format!("CREATE TABLE IF NOT EXISTS kept (n int); INSERT INTO kept SELECT generate_series(1, {n})");
    conn.batch_execute(&sql).await.expect("rows");
}

fn pid_file(home: &Path) -> std::path::PathBuf {
    let data = fs::read_dir(home).expect("a home").flatten().map(|entry| entry.path());
    let mut files = data.map(|path| path.join("postmaster.pid")).filter(|file| file.is_file());
    files.next().expect("a running server")
}

fn server_pid(cluster: &Cluster) -> i32 {
    pid_in(&cluster.data_dir().join("postmaster.pid")).expect("a running server")
}

#[tokio::test(flavor = "multi_thread")]
async fn data_survives_a_restart() {
    let home = scratch();
    let first = embedded::start(&options(home.path())).await.expect("it starts");
    assert!(first.is_new());
    for _ in 0..2 {
        first.ensure_database("loquent").await.expect("a database");
    }
    first.ensure_database("x\"; DROP").await.expect_err("no plain name");
    insert_rows(&first.url("loquent"), 50).await;
    let (data, pid) = (first.data_dir().to_owned(), server_pid(&first));
    first.stop().await;
    assert!(!is_alive(pid) && !data.join("postmaster.pid").exists());

    let second = embedded::start(&options(home.path())).await.expect("it starts again");
    assert!(!second.is_new());
    assert_eq!(count_rows(&second.url("loquent")).await, 50);
    assert!(second.psql_hint().contains(&second.url("loquent")));
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_reach_the_disk_and_nothing_listens_on_the_network() {
    let home = scratch();
    let cluster = embedded::start(&options(home.path())).await.expect("it starts");
    let mut conn = AsyncPgConnection::establish(&cluster.url("postgres")).await.expect("it answers");
    let wrong = "SELECT count(*) AS n FROM (VALUES ('fsync', 'on'), ('synchronous_commit', 'on'), \
                 ('full_page_writes', 'on'), ('listen_addresses', ''), ('unix_socket_permissions', '0700'), \
                 ('server_encoding', 'UTF8'), ('lc_collate', 'C'), ('TimeZone', 'UTC')) AS wanted (name, value) \
                 WHERE coalesce(current_setting(name, true), 'C') <> value";
    let wrong = diesel::sql_query(wrong).get_result::<Count>(&mut conn).await.expect("settings");
    assert_eq!(wrong.n, 0);
    drop(conn);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_owner_leaves_no_postgres_and_loses_no_commit() {
    let home = scratch();
    let owner = Running::owner(home.path());
    insert_rows(&owner.word, 50).await;
    let file = pid_file(home.path());
    let postgres = pid_in(&file).expect("a running server");
    owner.kill();
    assert!(eventually(Duration::from_secs(15), || !is_alive(postgres)).await, "postgres {postgres} is left");
    assert!(!file.exists(), "it was not a clean shutdown");

    let next = embedded::start(&options(home.path())).await.expect("it starts again");
    assert_eq!(count_rows(&next.url("postgres")).await, 50);
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_right_after_a_kill_waits_for_the_old_server() {
    let home = scratch();
    let owner = Running::owner(home.path());
    insert_rows(&owner.word, 50).await;
    owner.kill();
    let next = embedded::start(&options(home.path())).await.expect("it starts");
    assert_eq!(count_rows(&next.url("postgres")).await, 50);
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_cluster_stops_by_itself() {
    let home = scratch();
    let cluster = embedded::start(&options(home.path())).await.expect("it starts");
    let file = cluster.data_dir().join("postmaster.pid");
    drop(cluster);
    assert!(eventually(Duration::from_secs(15), || !file.exists()).await, "the server is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_owner_is_refused_and_told_what_to_do() {
    let home = scratch();
    let owner = Running::owner(home.path());
    let error = embedded::start(&options(home.path())).await.expect_err("it is in use");
    assert!(matches!(error, StartError::InUse { .. }), "{error:?}");
    let text = error.to_string();
    for part in [&format!("process {}", owner.pid()), "DATABASE_URL", "LOQUENT_DATA_DIR"] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    assert!(AsyncPgConnection::establish(&owner.word).await.is_ok(), "the first owner is disturbed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_noticed_and_the_next_start_recovers() {
    let home = scratch();
    let cluster = embedded::start(&options(home.path())).await.expect("it starts");
    insert_rows(&cluster.url("postgres"), 50).await;
    kill(server_pid(&cluster));
    let reason =
        tokio::time::timeout(Duration::from_secs(15), cluster.exited()).await.expect("it is noticed");
    assert!(reason.contains("signal: 9"), "{reason}");
    assert!(cluster.data_dir().join("postmaster.pid").exists(), "no stale pid file: nothing is tested");
    cluster.stop().await;

    let next = embedded::start(&options(home.path())).await.expect("it recovers");
    assert_eq!(count_rows(&next.url("postgres")).await, 50);
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pid_file_that_names_another_program_is_no_obstacle() {
    let home = scratch();
    let cluster = embedded::start(&options(home.path())).await.expect("it starts");
    let file = cluster.data_dir().join("postmaster.pid");
    let record = fs::read_to_string(&file).expect("a pid file");
    let server_uid = std::os::unix::fs::MetadataExt::uid(&fs::metadata(cluster.data_dir()).expect("data"));
    cluster.stop().await;

    // Of the same user, which is the case that PostgreSQL alone refuses.
    let mut bystander = Command::new("sleep");
    bystander.arg("600");
    if rustix::process::geteuid().is_root() {
        bystander.uid(server_uid);
    }
    let mut bystander = bystander.spawn().expect("a bystander");
    let (_, rest) = record.split_once('\n').expect("lines");
    fs::write(&file, format!("{}\n{rest}", bystander.id())).expect("a stale pid file");
    let next = embedded::start(&options(home.path())).await;
    bystander.kill().expect("the bystander is still there");
    bystander.wait().expect("it ends");
    next.expect("it starts").stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_server_on_the_data_is_respected() {
    let home = scratch();
    let owner = Running::owner(home.path());
    // Without its lock the owner looks like a server that somebody started by hand.
    let lock = pid_file(home.path()).parent().expect("data").with_extension("lock");
    fs::remove_file(lock).expect("a lock");
    let attempt = options(home.path());
    let attempt = tokio::time::timeout(Duration::from_secs(2), embedded::start(&attempt)).await;
    assert!(attempt.is_err(), "it did not wait: {attempt:?}");
    assert!(AsyncPgConnection::establish(&owner.word).await.is_ok(), "the foreign server is disturbed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_initdb_is_not_taken_for_finished() {
    let home = scratch();
    let probe = embedded::start(&options(home.path())).await.expect("it starts");
    let data = probe.data_dir().to_owned();
    probe.stop().await;
    // As after a power cut: much of a cluster is there, under the name of the unfinished.
    let unfinished = data.with_extension("new-4711");
    fs::rename(&data, &unfinished).expect("a rename");
    fs::remove_dir_all(unfinished.join("global")).expect("an incomplete cluster");

    let next = embedded::start(&options(home.path())).await.expect("it starts");
    assert!(next.is_new());
    assert!(!unfinished.exists(), "the leftover is still there");
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_right_after_a_kill_during_initdb_begins_anew() {
    let home = scratch();
    let mut owner = spawn_owner(home.path());
    let is_at_work = || {
        let entries = fs::read_dir(home.path()).expect("a home").flatten();
        entries.map(|entry| entry.path().join("PG_VERSION")).any(|file| file.is_file())
    };
    assert!(eventually(Duration::from_secs(30), is_at_work).await, "initdb does nothing");
    owner.kill().expect("it is there");
    owner.wait().expect("it ends");
    let is_finished = |path: &Path| path.extension().is_none() && path.join("PG_VERSION").is_file();
    let mut entries = fs::read_dir(home.path()).expect("a home").flatten();
    assert!(!entries.any(|entry| is_finished(&entry.path())), "it was too fast: nothing is tested");
    let next = embedded::start(&options(home.path())).await.expect("it starts");
    assert!(next.is_new());
    assert!(AsyncPgConnection::establish(&next.url("postgres")).await.is_ok());
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_data_directory_works_too() {
    let home = scratch();
    let long = home.path().join("directory-with-a-long-name-".repeat(5));
    let cluster = embedded::start(&options(&long)).await.expect("it starts");
    assert!(AsyncPgConnection::establish(&cluster.url("postgres")).await.is_ok());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_start_shows_its_log() {
    let home = scratch();
    let cluster = embedded::start(&options(home.path())).await.expect("it starts");
    let settings = cluster.data_dir().join("postgresql.conf");
    cluster.stop().await;
    fs::write(&settings, "no_such_setting = on\n").expect("settings");
    let error = embedded::start(&options(home.path())).await.expect_err("it cannot start");
    assert!(matches!(error, StartError::NotReady { .. }), "{error:?}");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}
