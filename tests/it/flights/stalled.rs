//! Subscriptions that nobody reads.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{
    app::{TestApp, WATCH},
    client::Client,
    processes::eventually,
    provider::{Gate, Script},
    ws::{RawSocket, Received},
};

#[tokio::test(flavor = "multi_thread")]
async fn stalled_subscriptions_hold_no_connection() {
    const SOCKETS: usize = 20;
    const OPERATIONS: usize = 10;
    const POOL: usize = 10;
    let app = TestApp::builder()
        .settings("[limits]\nsockets_per_user = 30\nwrite_stall_seconds = 300")
        .settings(&format!("[database]\nrequest_pool = {POOL}\nbackground_pool = 4"))
        .start()
        .await;
    let person = app.client.sign_up().await;
    let gate = Gate::default();
    let text = "sea ".repeat(80_000);
    app.provider.then(Script::text(&text, 40).usage(5, 9).gate(&gate));
    let sent = person.send_text("Hello", json!({})).await;
    let id = sent["assistantMessage"]["id"].as_str().unwrap();
    let mut stalled = Vec::new();
    for _ in 0..SOCKETS {
        let mut socket = RawSocket::open(&person).await;
        socket.init(person.token.as_deref()).await;
        for operation in 0..OPERATIONS {
            let payload = json!({ "query": WATCH, "variables": { "id": id } });
            socket
                .send(json!({ "id": operation.to_string(), "type": "subscribe", "payload": payload }))
                .await;
            assert!(matches!(socket.receive().await, Received::Json(event) if event["type"] == "next"));
        }
        stalled.push(socket);
    }
    // From here on nobody reads: each socket gets the text and the whole message for each of its operations.
    gate.open();
    person.wait_for_end(id).await;
    let unread = || unread_bytes(&person.base_url);
    let is_stalled = eventually(Duration::from_secs(10), || unread().len() >= SOCKETS).await;
    assert!(is_stalled, "only {} sockets have something unread", unread().len());
    let most = *unread().iter().max().unwrap();
    assert!(most < 2 * OPERATIONS * text.len(), "all of it fits in between: {most} bytes");

    // Who waits for a connection for longer than two seconds is refused, so the answers say that there are some.
    let slowest = answer_time(&person, 3 * POOL).await;
    let query = format!(
        "SELECT count(*)::text AS line FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()",
        app.db.name
    );
    let open: usize = app.db.lines(&query).await[0].parse().unwrap();
    // Those of requests, a few of the background, and the listener.
    assert!(open <= POOL + 5, "{open} connections");
    let n = SOCKETS * OPERATIONS;
    println!(
        "stalled_subscriptions_hold_no_connection n={n} ok: {open} connections, viewer in {slowest:?}, {most} bytes unread at most"
    );
    drop(stalled);
    app.close().await;
}

/// What the server wrote to its sockets and nobody has read, in bytes a socket; those without any left out.
fn unread_bytes(base_url: &str) -> Vec<usize> {
    let port: u16 = base_url.rsplit(':').next().unwrap().parse().unwrap();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut queues: HashMap<String, usize> = HashMap::new();
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (to_send, to_read) = fields[4].split_once(':').unwrap();
        let size = |hex: &str| usize::from_str_radix(hex, 16).unwrap();
        let suffix = format!(":{port:04X}");
        if fields[1].ends_with(&suffix) {
            *queues.entry(fields[2].to_owned()).or_default() += size(to_send);
        } else if fields[2].ends_with(&suffix) {
            *queues.entry(fields[1].to_owned()).or_default() += size(to_read);
        }
    }
    queues.into_values().filter(|unread| *unread > 0).collect()
}

/// The longest of so many questions asked at once.
async fn answer_time(person: &Client, count: usize) -> Duration {
    let ask = || async {
        let begun = Instant::now();
        person.gql("{ viewer { user { name } account { name } } }", json!({})).await.data();
        begun.elapsed()
    };
    let times = futures_util::future::join_all((0..count).map(|_| ask())).await;
    times.into_iter().max().unwrap()
}
