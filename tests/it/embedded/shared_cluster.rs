use std::{path::Path, time::Duration};

use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};

use super::owner::{Running, scratch};
use crate::support::{
    db::TestDb,
    processes::{eventually, is_alive, pid_in},
};

/// What a run may take to disappear.
const GONE_LIMIT: Duration = Duration::from_secs(15);

/// Pids of the keeper, which is in its cluster's lock, and of the server.
fn pids(dir: &Path) -> (i32, i32) {
    let entries: Vec<_> =
        std::fs::read_dir(dir).expect("a cluster").flatten().map(|entry| entry.path()).collect();
    let keeper = entries.iter().filter(|path| path.extension().is_some_and(|end| end == "lock"));
    let server = entries.iter().map(|path| path.join("postmaster.pid"));
    let only = |pid: Option<i32>| pid.expect("a running cluster");
    (
        only(keeper.filter_map(|file| pid_in(file)).next()),
        only(server.filter_map(|file| pid_in(&file)).next()),
    )
}

async fn answers(url: &str) -> bool {
    AsyncPgConnection::establish(url).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_runner_leaves_no_process() {
    let dir = scratch();
    let client = Running::client(dir.path());
    let (keeper, server) = pids(dir.path());
    assert!(is_alive(keeper) && is_alive(server));
    client.kill();
    let is_gone = eventually(GONE_LIMIT, || !is_alive(keeper) && !is_alive(server)).await;
    assert!(is_gone, "keeper {keeper} or postgres {server} is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_keeper_takes_the_server_along_and_the_next_process_starts_another() {
    let dir = scratch();
    let first = Running::client(dir.path());
    let (keeper, server) = pids(dir.path());
    crate::support::processes::kill(keeper);
    // The signal is only sent: until it has worked, the keeper still has its lock.
    assert!(eventually(GONE_LIMIT, || !is_alive(keeper)).await);
    let second = Running::client(dir.path());
    let (next_keeper, next_server) = pids(dir.path());
    assert!(next_keeper != keeper && next_server != server);
    assert!(!is_alive(server));
    assert!(answers(&second.word).await);
    drop((first, second));
    assert!(eventually(GONE_LIMIT, || !is_alive(next_keeper) && !is_alive(next_server)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_together_share_one_cluster_and_dead_ones_leave_no_database() {
    let dir = scratch();
    let starts: Vec<_> = (0..3)
        .map(|_| {
            let dir = dir.path().to_owned();
            tokio::task::spawn_blocking(move || Running::client(&dir))
        })
        .collect();
    let mut clients = Vec::new();
    for start in starts {
        clients.push(start.await.expect("a client"));
    }
    for client in &clients {
        assert!(answers(&client.word).await);
    }
    let dead = clients.pop().expect("a client");
    let abandoned = dead.word.clone();
    dead.kill();
    assert!(answers(&abandoned).await, "it is gone before anybody tidied up: nothing is tested");
    let next = Running::client(dir.path());
    assert!(!answers(&abandoned).await, "the database of a dead process is left");
    assert!(answers(&next.word).await);
    let (keeper, server) = pids(dir.path());
    drop((clients, next));
    assert!(eventually(GONE_LIMIT, || !is_alive(keeper) && !is_alive(server)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_test_has_a_database_of_its_own() {
    let (one, two) = tokio::join!(TestDb::create(), TestDb::create());
    assert_ne!(one.name, two.name);
    let mut conn = AsyncPgConnection::establish(&one.url).await.expect("it answers");
    conn.batch_execute("CREATE TABLE only_here (n int)").await.expect("a table");
    let mut other = AsyncPgConnection::establish(&two.url).await.expect("it answers");
    other.batch_execute("SELECT * FROM only_here").await.expect_err("it is another database");
    one.close().await;
    two.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_dropped_after_a_panic_too() {
    let (told, address) = std::sync::mpsc::channel();
    let test = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let db = TestDb::create().await;
            let _open = AsyncPgConnection::establish(&db.url).await.expect("it answers");
            told.send(db.url.clone()).expect("we listen");
            std::panic::resume_unwind(Box::new("as a failed assertion does"));
        });
    });
    test.join().expect_err("it panicked");
    assert!(!answers(&address.recv().expect("an address")).await, "the database is left");
}
