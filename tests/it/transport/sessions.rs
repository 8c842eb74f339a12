//! Sockets of signed-in users: they end with their credential and their session.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpStream, time::sleep};

use super::{
    flood::{address_of, connect, floods, loopback},
    probe::Site,
};
use crate::support::{
    client::Client,
    db::TestDb,
    processes::eventually,
    ws::{RawSocket, Received},
};

/// A server over a database of its own, with quick pings.
async fn site() -> (Site, TestDb) {
    let db = TestDb::create().await;
    let change = |settings: &mut loquent::graphql::transport::Settings| {
        settings.ping = Duration::from_millis(50);
        settings.sockets_per_user = 2;
    };
    (Site::start_on(&db.url, change, Vec::new()).await, db)
}

async fn signed_in(client: &Client) -> RawSocket {
    let mut socket = RawSocket::open(client).await;
    socket.init(client.token.as_deref()).await;
    socket
}

async fn user(client: &Client) -> Value {
    client.gql("{ viewer { user { id } } }", json!({})).await.data()["viewer"]["user"]["id"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_transports_know_the_caller_by_the_same_token() {
    let (site, _db) = site().await;
    let client = site.client.sign_up().await;
    let socket = crate::support::ws::Socket::connect(&client).await;
    let mut operation = socket.subscribe("{ viewer { user { id } } }", json!({})).await;
    let crate::support::ws::Event::Next(result) = operation.next().await else { panic!() };
    assert!(result["data"]["viewer"]["user"]["id"].is_string());
    assert_eq!(result["data"]["viewer"]["user"]["id"], user(&client).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_ends_when_its_credential_expires() {
    let (site, _db) = site().await;
    let mut anonymous = signed_in(&site.client).await;
    let mut socket = signed_in(&site.client.sign_up().await).await;
    site.clock.advance(chrono::TimeDelta::hours(2));
    assert_eq!(socket.close_code().await, 4403);
    anonymous.send(json!({ "type": "connection_init" })).await;
    assert_eq!(anonymous.close_code().await, 4429);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_sockets_of_the_session_and_no_others() {
    let (site, _db) = site().await;
    let (leaving, staying) = (site.client.sign_up().await, site.client.sign_up().await);
    let (mut first, mut second) = (signed_in(&leaving).await, signed_in(&leaving).await);
    let mut other = signed_in(&staying).await;
    let out = "mutation { signOut(input: { everywhere: false }) { isAccepted } }";
    let answer = leaving.gql(out, json!({})).await;
    assert!(answer.errors().is_empty(), "{answer:?}");
    assert_eq!((first.close_code().await, second.close_code().await), (4403, 4403));
    other.send(json!({ "type": "connection_init" })).await;
    assert_eq!(other.close_code().await, 4429);
    assert_eq!(leaving.gql("{ __typename }", json!({})).await.code(), "UNAUTHENTICATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_over_a_socket_is_answered_before_that_socket_ends() {
    let (site, _db) = site().await;
    for _ in 0..10 {
        let mut socket = signed_in(&site.client.sign_up().await).await;
        let out = "mutation { signOut(input: { everywhere: true }) { isAccepted } }";
        socket.send(json!({ "id": "1", "type": "subscribe", "payload": { "query": out } })).await;
        let Received::Json(answer) = socket.receive().await else { panic!() };
        assert_eq!((&answer["id"], &answer["type"]), (&json!("1"), &json!("next")));
        assert_eq!(answer["payload"]["data"], json!({ "signOut": { "isAccepted": true } }));
        assert_eq!(socket.receive().await, Received::Json(json!({ "id": "1", "type": "complete" })));
        assert_eq!(socket.receive().await, Received::Closed(4403, "Forbidden".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_so_many_sockets_and_gets_places_back() {
    let db = TestDb::create().await;
    let site = Site::start_on(&db.url, |settings| settings.sockets_per_user = 2, Vec::new()).await;
    let client = site.client.sign_up().await;
    let mut first = signed_in(&client).await;
    let _second = signed_in(&client).await;
    let mut third = RawSocket::open(&client).await;
    let bearer = format!("Bearer {}", client.token.as_deref().unwrap());
    third.send(json!({ "type": "connection_init", "payload": { "authorization": bearer } })).await;
    assert_eq!(third.close_code().await, 4429);
    first.send(json!({ "type": "start" })).await;
    assert_eq!(first.close_code().await, 4400);
    signed_in(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_has_missed_a_ping_gives_its_place_to_a_new_one() {
    let (site, _db) = site().await;
    let client = site.client.sign_up().await;
    let mut first = signed_in(&client).await;
    for _ in 0..3 {
        assert_eq!(first.receive_any().await, Received::Json(json!({ "type": "ping" })));
    }
    let mut second = signed_in(&client).await;
    signed_in(&client).await;
    assert_eq!(first.receive().await, Received::Gone);
    second.send(json!({ "type": "ping" })).await;
    assert_eq!(second.receive().await, Received::Json(json!({ "type": "pong" })));
}

/// Reads about 3 KB a second, so that every write to it moves and none ends.
async fn trickle(mut stream: TcpStream) {
    let mut bytes = [0; 300];
    while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_a_socket_to_which_a_write_crawls() {
    let (site, _db) = site().await;
    let client = site.client.sign_up().await;
    let stream = connect(address_of(&client), loopback(5)).await.unwrap();
    let mut socket = RawSocket::open_over(&client, stream).await.unwrap();
    socket.init(client.token.as_deref()).await;
    socket.send(floods("f")).await;
    let reader = trickle(socket.into_stream());
    let watch = async {
        // Until the network is full: from then on the server waits for this reader.
        let mut made = 0;
        for _ in 0..100 {
            sleep(Duration::from_millis(300)).await;
            if made > 0 && made == site.probe.floods() {
                break;
            }
            made = site.probe.floods();
        }
        assert!(made > 0, "nothing is written");
        let out = "mutation { signOut(input: { everywhere: false }) { isAccepted } }";
        assert!(client.gql(out, json!({})).await.errors().is_empty());
        let signed_out = Instant::now();
        assert!(eventually(Duration::from_secs(10), || site.running.open_sockets() == 0).await);
        println!("a crawling socket ended {:?} after its sign-out ok", signed_out.elapsed());
    };
    tokio::select! {
        () = watch => {}
        () = async { reader.await; std::future::pending().await } => {}
    }
}
