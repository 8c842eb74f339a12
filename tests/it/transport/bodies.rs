//! Bodies that never end, from who is nobody: their memory is bounded, and others are answered.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use reqwest::header::CONTENT_TYPE;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::probe::Site;
use crate::support::{client::Client, processes::eventually};

const LIMIT: Duration = Duration::from_secs(10);
const KIB: usize = 1024;

/// What a body of [`SIZE`] bytes is counted as: its buffer, without what every body may have.
const COUNTED: usize = (64 - 8) * KIB;
const SIZE: usize = 60 * KIB;

const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 4));

/// Room for two large bodies an address.
async fn site() -> Site {
    let change = |settings: &mut loquent::graphql::transport::Settings| {
        settings.body_bytes = 64 * KIB;
        settings.body_bytes_in_flight = 1024 * KIB;
        settings.body_bytes_in_flight_per_address = 128 * KIB;
    };
    Site::start_with(change, Vec::new()).await
}

/// An operation in a body of [`SIZE`] bytes.
fn large() -> String {
    format!("{:<1$}}}", r#"{"query":"{ __typename }""#, SIZE - 1)
}

/// Sends all of a large body but its last byte.
async fn hold(server: SocketAddr, is_chunked: bool) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((ATTACKER, 0).into()).unwrap();
    let mut stream = socket.connect(server).await.unwrap();
    let length = match is_chunked {
        true => format!("Transfer-Encoding: chunked\r\n\r\n{SIZE:x}"),
        false => format!("Content-Length: {SIZE}\r\n"),
    };
    let head = format!("POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{length}\r\n");
    // A server that has refused already does not take the rest.
    let _ = stream.write_all(format!("{head}{}", &large()[..SIZE - 1]).as_bytes()).await;
    stream
}

/// Everything up to the end of the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // The end may be a reset, because the body was not read; what came before it counts.
    let ended = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await;
    let _ = ended.expect("the end of the connection in time");
    String::from_utf8_lossy(&answer).to_lowercase()
}

async fn send_large(client: &Client) -> u16 {
    let request = client.post(large()).header(CONTENT_TYPE, "application/json");
    client.send(request).await.status.as_u16()
}

#[tokio::test]
async fn bodies_held_from_one_address_leave_room_for_all_others() {
    let site = site().await;
    let server = site.running.address;
    let is_held = async |bytes: usize| {
        assert!(
            eventually(LIMIT, || site.running.body_bytes() == bytes).await,
            "{}",
            site.running.body_bytes()
        );
    };
    let mut held = vec![hold(server, false).await, hold(server, true).await];
    is_held(2 * COUNTED).await;
    for is_chunked in [false, true, false, true] {
        let answer = rest(hold(server, is_chunked).await).await;
        assert!(answer.starts_with("http/1.1 503"), "{answer}");
        for part in ["retry-after: 1\r\n", "connection: close\r\n", "\"service_unavailable\""] {
            assert!(answer.contains(part), "{part}: {answer}");
        }
    }
    is_held(2 * COUNTED).await;
    // A usual operation needs no room, and another address has its own.
    let (attacker, other) = (site.client.at_address(ATTACKER), site.client.at_address(OTHER));
    assert_eq!(attacker.gql("{ __typename }", json!({})).await.status.as_u16(), 200);
    assert_eq!(send_large(&other).await, 200);

    // The first comes to its end, the second breaks off.
    held[0].write_all(b"}").await.unwrap();
    let mut status = [0; 12];
    held[0].read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    is_held(COUNTED).await;
    assert_eq!(send_large(&attacker).await, 200);
    drop(held);
    is_held(0).await;
}
