//! What a socket costs that waits for an answer which does not move: memory, and no work at all.

use std::{fs, time::Duration};

use serde_json::json;

use crate::support::{
    app::{SEND, new_key},
    binary::{Binary, Launch},
    client::Client,
    cluster::variable,
    db::TestDb,
    processes::eventually,
    provider::{Gate, Script, ScriptedProvider},
    ws::{RawSocket, Received},
};

/// As an application would follow an answer of which it has the beginning.
const FOLLOW: &str = "subscription Follow($id: ID!) {
    messageStream(messageId: $id) {
        __typename sequence
        ... on MessageSnapshot { message { text } }
        ... on TextDelta { text }
    }
}";

/// Of a debug build, whose futures are larger; benches hold the release build to less.
const MOST_BYTES: usize = 40 * 1024;

/// Resident memory of a process, in bytes.
fn resident(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Processor time a process has used, in ticks of a hundredth of a second.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Opens sockets that each watch the message and have its snapshot.
async fn watchers(client: &Client, message_id: &str, count: usize) -> Vec<RawSocket> {
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        let mut socket = RawSocket::open(client).await;
        socket.init(client.token.as_deref()).await;
        let payload = json!({ "query": FOLLOW, "variables": { "id": message_id } });
        socket.send(json!({ "id": "1", "type": "subscribe", "payload": payload })).await;
        let Received::Json(frame) = socket.receive().await else { panic!("no snapshot") };
        assert_eq!(frame["type"], "next", "{frame}");
        sockets.push(socket);
    }
    sockets
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_waits_costs_little_and_a_second_wave_no_more() {
    let count = if variable("TEST_SCALE").is_some() { 2000 } else { 400 };
    let db = TestDb::create().await;
    let provider = ScriptedProvider::start().await;
    let settings = format!(
        "[limits]\nsockets_per_user = {0}\nsockets_per_address = {0}\nconnections_per_address = {0}\n",
        count + 100
    );
    let launch = Launch { database_url: &db.url, provider: provider.base_url(), settings: &settings };
    let binary = Binary::start(&launch);
    let pid = binary.pid();
    let person = binary.client.sign_up().await;
    let gate = Gate::default();
    provider.then(Script::pieces(&["One", "two"]).gate_after(1, &gate));
    let input = json!({ "parts": [{ "text": "Go on." }], "model": "scripted", "idempotencyKey": new_key() });
    let sent = person.gql(SEND, json!({ "input": input })).await;
    let message_id = sent.data()["sendMessage"]["assistantMessage"]["id"].as_str().unwrap().to_owned();
    // Whatever is made once is there before anything is weighed.
    let warm = watchers(&person, &message_id, 20).await;
    let before = (resident(pid), descriptors(pid));
    let mut each = Vec::new();
    for _ in 0..2 {
        let sockets = watchers(&person, &message_id, count).await;
        each.push(resident(pid).saturating_sub(before.0) / count);
        let busy = ticks(pid);
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Watchers of an answer that does not move do not wake.
        let used = ticks(pid) - busy;
        println!("idle sockets={count} ticks_in_a_second={used}");
        assert!(used <= 50, "{used} ticks for sockets that wait");
        drop(sockets);
        assert!(
            eventually(Duration::from_secs(20), || descriptors(pid) <= before.1).await,
            "sockets are left"
        );
    }
    drop(warm);
    gate.open();
    println!("idle sockets={count} bytes_each_first={} bytes_each_second={} ok", each[0], each[1]);
    assert!(each[1] <= MOST_BYTES, "{each:?}");
}
