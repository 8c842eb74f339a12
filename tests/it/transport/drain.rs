//! Leaving in order: not ready first, then deaf, then gone.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpStream;

use super::probe::{Site, take};
use crate::support::{
    binary::{Binary, Launch},
    client::Client,
    db::TestDb,
    provider::ScriptedProvider,
    ws::{RawSocket, Received},
};

const PATIENCE: Duration = Duration::from_secs(20);

async fn readiness(client: &Client) -> StatusCode {
    client.send(client.request(Method::GET, "/readyz")).await.status
}

#[tokio::test]
async fn a_server_that_retires_is_not_ready_and_still_serves() {
    let site = Site::start().await;
    assert_eq!(readiness(&site.client).await, 200);
    site.running.retire();
    // By connections of their own, as a balancer and its clients would.
    let stranger = Client::anonymous(site.client.base_url.clone());
    assert_eq!(readiness(&stranger).await, 503);
    assert_eq!(stranger.gql("{ __typename }", json!({})).await.data()["__typename"], "Query");
    let mut socket = RawSocket::open(&stranger).await;
    socket.init(None).await;
    let (end, is_clean) = tokio::join!(socket.receive(), site.running.drain(PATIENCE));
    assert_eq!(end, Received::Closed(1012, "Service restart".to_owned()));
    assert!(is_clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_says_that_it_goes_before_it_refuses_anybody() {
    let db = TestDb::create().await;
    let provider = ScriptedProvider::start().await;
    let settings = "[server]\nready_grace_seconds = 3\n";
    let mut binary =
        Binary::start(&Launch { database_url: &db.url, provider: provider.base_url(), settings });
    let begun = Instant::now();
    binary.signal(Signal::TERM);
    while readiness(&Client::anonymous(binary.client.base_url.clone())).await == 200 {
        tokio::task::yield_now().await;
    }
    let newcomer = Client::anonymous(binary.client.base_url.clone()).sign_up().await;
    let mut socket = RawSocket::open(&newcomer).await;
    socket.init(newcomer.token.as_deref()).await;
    assert_eq!(socket.receive().await, Received::Closed(1012, "Service restart".to_owned()));
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    let address = newcomer.base_url.trim_start_matches("http://").to_owned();
    assert!(TcpStream::connect(address).await.is_err());
    assert_eq!(binary.ended(PATIENCE).await, Some(0));
}

#[tokio::test]
async fn a_mutation_on_a_socket_is_answered_before_the_socket_ends() {
    let site = Site::start().await;
    let mut socket = RawSocket::open(&site.client).await;
    socket.init(None).await;
    let payload = json!({ "query": "mutation Waits { __typename }", "operationName": "Waits" });
    socket.send(json!({ "id": "1", "type": "subscribe", "payload": payload })).await;
    take(&site.probe.begun).await;
    let client = async {
        let mut kinds = Vec::new();
        loop {
            match socket.receive().await {
                Received::Json(message) => kinds.push(message["type"].clone()),
                end => return (kinds, end),
            }
        }
    };
    let drain = site.running.drain(PATIENCE);
    site.probe.go.add_permits(1);
    let ((kinds, end), is_clean) = tokio::join!(client, drain);
    assert_eq!(
        (kinds, end),
        (vec![json!("next"), json!("complete")], Received::Closed(1012, "Service restart".to_owned()))
    );
    assert!(is_clean);
}

#[tokio::test]
async fn sockets_that_read_nothing_do_not_hold_up_a_drain() {
    let site = Site::start().await;
    let mut stalled = Vec::new();
    for _ in 0..5 {
        let mut socket = RawSocket::open(&site.client).await;
        socket.init(None).await;
        let document = "subscription Floods { messageStream(messageId: \"msg_00000000000000000000000001\") { __typename } }";
        let payload = json!({ "query": document, "operationName": "Floods" });
        socket.send(json!({ "id": "f", "type": "subscribe", "payload": payload })).await;
        socket.receive().await;
        stalled.push(socket);
    }
    let begun = Instant::now();
    assert!(site.running.drain(PATIENCE).await);
    // The limit of a stalled write, 10 s, is not what ended them.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}
