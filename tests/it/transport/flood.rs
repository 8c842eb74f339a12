//! Clients that take more than their share: of messages, of frames, of connections.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::mpsc,
    task::JoinSet,
};
use tokio_tungstenite::tungstenite::Message;

use super::probe::{Site, take};
use crate::support::{
    client::Client,
    cluster::variable,
    processes::eventually,
    ws::{RawSocket, Received},
};

/// Longer than anything here takes to be given back.
const LIMIT: Duration = Duration::from_secs(10);

pub fn loopback(host: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, host).into()
}

/// A connection from an address of our choice, with little room for what is not read.
pub async fn connect(server: SocketAddr, from: IpAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(16 * 1024)?;
    socket.bind((from, 0).into())?;
    socket.connect(server).await
}

pub fn floods(id: &str) -> Value {
    let document =
        "subscription Floods { messageStream(messageId: \"msg_00000000000000000000000001\") { __typename } }";
    json!({ "id": id, "type": "subscribe", "payload": { "query": document, "operationName": "Floods" } })
}

#[tokio::test]
async fn messages_beyond_the_pace_wait_and_none_is_lost() {
    let site = Site::start().await;
    let mut socket = RawSocket::open(&site.client).await;
    let begun = Instant::now();
    for n in 0..90 {
        socket.send(json!({ "type": "ping", "payload": { "n": n } })).await;
    }
    for n in 0..90 {
        let pong = json!({ "type": "pong", "payload": { "n": n } });
        assert_eq!(socket.receive().await, Received::Json(pong));
    }
    let took = begun.elapsed();
    // 60 at once, and 30 at 20 a second.
    assert!(took >= Duration::from_millis(1400), "{took:?}");
    println!("pace n=90 took={took:?} ok");
}

#[tokio::test]
async fn a_query_beside_a_flood_waits_for_few_of_its_frames() {
    let site = Site::start().await;
    let mut socket = RawSocket::open(&site.client).await;
    socket.init(None).await;
    socket.send(floods("f")).await;
    let mut frames = 0;
    // Thousands of frames go by, and each query waits for at most one batch of them.
    let mut most = 0;
    for n in 0..20 {
        let payload = json!({ "query": "query Waits { __typename }", "operationName": "Waits" });
        socket.send(json!({ "id": format!("q{n}"), "type": "subscribe", "payload": payload })).await;
        let begun = take(&site.probe.begun);
        tokio::pin!(begun);
        loop {
            tokio::select! {
                () = &mut begun => break,
                frame = socket.receive() => {
                    assert!(matches!(frame, Received::Json(_)));
                    frames += 1;
                }
            }
        }
        let made = site.probe.floods();
        site.probe.go.add_permits(1);
        loop {
            match socket.receive().await {
                Received::Json(frame) if frame["id"] == "f" => frames += 1,
                Received::Json(frame) if frame["type"] == "next" => {
                    most = most.max(frames - made.min(frames))
                }
                Received::Json(frame) if frame["type"] == "complete" => break,
                end => panic!("{end:?}"),
            }
        }
    }
    assert!(most <= 64, "{most} frames of the flood came before an answer");
    println!("fairness queries=20 frames={frames} most_before_an_answer={most} ok");
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_gets_places_back_at_once() {
    let site = Site::start_with(|settings| settings.connections_per_address = 3, Vec::new()).await;
    let server = site.running.address;
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(connect(server, loopback(3)).await.unwrap());
    }
    // A socket keeps the place of its connection.
    let client = site.client.at_address(loopback(3));
    let stream = connect(server, loopback(3)).await.unwrap();
    let mut socket = RawSocket::open_over(&client, stream).await.unwrap();
    socket.init(None).await;
    assert_eq!(site.running.open_connections(), 3);
    for _ in 0..3 {
        let mut refused = connect(server, loopback(3)).await.unwrap();
        assert_eq!(refused.read(&mut [0; 1]).await.unwrap_or(0), 0, "it is served");
    }
    let other = site.client.at_address(loopback(4));
    assert_eq!(other.gql("{ __typename }", json!({})).await.status, 200);
    drop((other, socket));
    assert!(eventually(LIMIT, || site.running.open_connections() == 2).await);
    assert_eq!(client.gql("{ __typename }", json!({})).await.status, 200);
    drop((client, held));
    assert!(eventually(LIMIT, || site.running.open_connections() == 0).await);
}

/// How an attacker uses a connection; each kind comes from an address of its own.
#[derive(Debug, Clone, Copy)]
enum Attack {
    /// Says nothing at all.
    Silence,
    /// Half of a head.
    HalfHead,
    /// A socket that does not introduce itself.
    NoInit,
    /// A socket that asks for much and reads none of it.
    SlowReader,
    /// A socket that talks without an end.
    Flood,
}

const ATTACKS: [Attack; 5] =
    [Attack::Silence, Attack::HalfHead, Attack::NoInit, Attack::SlowReader, Attack::Flood];

impl Attack {
    fn address(self) -> IpAddr {
        loopback(10 + self as u8)
    }

    /// Opens a connection, says whether it was let in, and holds on to it for as long as the server lets it.
    async fn run(self, client: Client, server: SocketAddr, let_in: mpsc::Sender<bool>) {
        let Ok(mut stream) = connect(server, self.address()).await else {
            return let_in.send(false).await.unwrap();
        };
        match self {
            Self::Silence | Self::HalfHead => {
                if matches!(self, Self::HalfHead) {
                    let _ = stream.write_all(b"POST /graphql HTTP/1.1\r\nhost: x\r\nx-half: ").await;
                }
                // Who is refused is closed at once.
                let mut byte = [0; 1];
                let closed = tokio::time::timeout(Duration::from_millis(500), stream.read(&mut byte)).await;
                let_in.send(closed.is_err()).await.unwrap();
                let _ = stream.read(&mut byte).await;
            }
            _ => {
                let Some(mut socket) = RawSocket::open_over(&client, stream).await else {
                    return let_in.send(false).await.unwrap();
                };
                let_in.send(true).await.unwrap();
                self.talk(&mut socket).await;
                std::future::pending::<()>().await;
            }
        }
    }

    async fn talk(self, socket: &mut RawSocket) {
        if matches!(self, Self::NoInit) {
            return;
        }
        socket.try_send_frame(Message::text("{\"type\":\"connection_init\"}")).await;
        if matches!(self, Self::SlowReader) {
            return socket.try_send_frame(Message::text(floods("f").to_string())).await;
        }
        while socket.is_sent(Message::text("{\"type\":\"ping\",\"payload\":{\"x\":\"x\"}}")).await {}
    }
}

/// Somebody else, who asks by a new connection each time, and by one socket, until all are answered.
async fn bystander(client: &Client, requests: usize) {
    let mut socket =
        RawSocket::open_over(client, connect(address_of(client), loopback(2)).await.unwrap()).await.unwrap();
    socket.init(None).await;
    for n in 0..requests {
        ask(address_of(client)).await;
        if n % 10 == 0 {
            let payload = json!({ "query": "{ __typename }" });
            socket.send(json!({ "id": "1", "type": "subscribe", "payload": payload })).await;
            for kind in ["next", "complete"] {
                let Received::Json(frame) = socket.receive().await else { panic!("its socket has ended") };
                assert_eq!(frame["type"], kind);
            }
        }
    }
}

/// A request by a connection of its own.
async fn ask(server: SocketAddr) {
    let body = r#"{"query":"{ __typename }"}"#;
    let request = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = connect(server, loopback(2)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_string(&mut answer)).await;
    read.expect("an answer in time").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""__typename":"Query""#), "{answer}");
}

pub fn address_of(client: &Client) -> SocketAddr {
    client.base_url.trim_start_matches("http://").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attack_from_a_few_addresses_is_bounded_and_nobody_else_notices() {
    let (attempts, share) = if variable("TEST_SCALE").is_some() { (2000, 1000) } else { (200, 100) };
    let requests = 200;
    let change = |settings: &mut loquent::graphql::transport::Settings| {
        settings.connections_per_address = share;
        settings.sockets_per_address = share / 10;
        // The attackers could take every place if they were not held to their shares.
        settings.connections = 3 * share + 20;
    };
    let site = Site::start_with(change, Vec::new()).await;
    let server = site.running.address;
    let mut attackers = JoinSet::new();
    let (let_in, mut verdicts) = mpsc::channel(64);
    for n in 0..attempts * ATTACKS.len() {
        let attack = ATTACKS[n % ATTACKS.len()];
        attackers.spawn(attack.run(site.client.clone(), server, let_in.clone()));
    }
    drop(let_in);
    let judge = async {
        let (mut held, mut refused) = (0, 0);
        for _ in 0..attempts * ATTACKS.len() {
            match verdicts.recv().await {
                Some(true) => held += 1,
                Some(false) => refused += 1,
                None => panic!("an attacker failed"),
            }
        }
        (held, refused, site.running.open_connections(), site.running.open_sockets())
    };
    let began = Instant::now();
    let ((held, refused, open, sockets), ()) = tokio::join!(judge, bystander(&site.client, requests / 2));
    bystander(&site.client, requests / 2).await;
    let lasted = began.elapsed();
    assert!(held >= share && refused >= share, "held={held} refused={refused}");
    assert!(open <= ATTACKS.len() * share + 2, "{open}");

    attackers.shutdown().await;
    let ended = Instant::now();
    let is_free = || site.running.open_connections() == 0 && site.running.open_sockets() == 0;
    assert!(eventually(LIMIT, is_free).await, "{} connections are left", site.running.open_connections());
    let freed = ended.elapsed();
    assert_eq!(site.running.panics(), 0);
    assert!(site.tasks.wait(LIMIT).await, "operations still run");
    println!(
        "attack connections={} held={held} refused={refused} open={open} sockets={sockets} answered={requests}/{requests} \
         lasted={lasted:?} freed_in={freed:?} ok",
        attempts * ATTACKS.len()
    );
}
