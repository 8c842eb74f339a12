//! What is refused leaves nothing behind in the process.

use super::{
    corpus::corpus,
    transports::{ALL, expected, send},
};
use crate::support::{
    binary::{Binary, Launch},
    client::Client,
    cluster::variable,
    db::TestDb,
};

/// How much the resident memory may have grown after all rounds.
const MOST_KIB: u64 = 16 * 1024;

/// Resident memory of a process in KiB; none where the system does not say.
fn resident_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Sends the whole corpus by every transport, and says how many requests that were.
async fn send_all(client: &Client) -> u64 {
    let mut sent = 0;
    for case in corpus() {
        for transport in ALL {
            let Some(wanted) = expected(transport, &case) else { continue };
            assert_eq!(send(transport, client, &case).await, wanted, "{}, {transport:?}", case.name);
            sent += 1;
        }
    }
    sent
}

#[tokio::test]
async fn the_corpus_again_and_again_leaves_the_memory_of_the_process_as_it_was() {
    let db = TestDb::create().await;
    let provider = crate::support::provider::ScriptedProvider::start().await;
    let launch = Launch { database_url: &db.url, provider: provider.base_url(), settings: "" };
    let binary = Binary::start(&launch);
    if resident_kib(binary.pid()).is_none() {
        println!("guard corpus: this system does not say how much memory a process has; not measured");
        return;
    }
    let rounds = if variable("TEST_SCALE").is_some() { 100 } else { 20 };
    // The first rounds fill what is kept once: threads, pools, arenas.
    for _ in 0..2 {
        send_all(&binary.client).await;
    }
    let before = resident_kib(binary.pid()).unwrap();
    let mut sent = 0;
    for _ in 0..rounds {
        sent += send_all(&binary.client).await;
    }
    let grown = resident_kib(binary.pid()).unwrap().saturating_sub(before);
    assert!(grown < MOST_KIB, "{grown} KiB more after {sent} requests");
    println!("guard corpus n={sent} rss +{grown} KiB ok");
    binary.kill();
}
