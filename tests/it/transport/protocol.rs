//! `graphql-transport-ws` by the letter: the handshake and every close code.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

use super::probe::Site;
use crate::support::ws::{RawSocket, Received};

const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

async fn ready(site: &Site) -> RawSocket {
    let mut socket = RawSocket::open(&site.client).await;
    socket.init(None).await;
    socket
}

#[tokio::test]
async fn no_other_subprotocol_is_spoken() {
    let site = Site::start().await;
    let mut silent = RawSocket::try_open(&site.client, &[]).await.unwrap();
    assert_eq!(silent.receive().await, Received::Closed(4406, "Subprotocol not acceptable".to_owned()));
    let both = [("sec-websocket-protocol", "graphql-ws, graphql-transport-ws")];
    RawSocket::try_open(&site.client, &both).await.unwrap().init(None).await;
    // A client that named others only is told the same, and none of its names is confirmed.
    let mut stream = TcpStream::connect(site.running.address).await.unwrap();
    let handshake = "GET /graphql HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
        sec-websocket-protocol: graphql-ws\r\n\r\n";
    stream.write_all(handshake.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"Subprotocol not acceptable") {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "{}", String::from_utf8_lossy(&seen));
    }
    let seen = String::from_utf8_lossy(&seen).to_lowercase();
    assert!(seen.starts_with("http/1.1 101") && !seen.contains("sec-websocket-protocol"), "{seen}");
}

#[tokio::test]
async fn a_broken_handshake_is_refused_over_http() {
    let site = Site::start().await;
    for (name, value, version) in [("sec-websocket-version", "12", Some("13")), ("connection", "close", None)]
    {
        let headers = [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ];
        let mut stream = TcpStream::connect(site.running.address).await.unwrap();
        let mut head = String::from("GET /graphql HTTP/1.1\r\nhost: x\r\n");
        for (key, usual) in headers {
            head += &format!("{key}: {}\r\n", if key == name { value } else { usual });
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "{name}: {value}");
        }
        let answer = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(answer.starts_with("http/1.1 400"), "{name}: {value}: {answer}");
        let told = answer.lines().find_map(|line| line.strip_prefix("sec-websocket-version: "));
        assert_eq!(told, version, "{name}: {value}");
    }
}

#[tokio::test]
async fn an_upgrade_to_anything_else_is_passed_over() {
    let site = Site::start().await;
    for (upgrade, status) in [("h2c", 200), ("TLS/1.0", 200), ("websockets", 200), ("WebSocket", 400)] {
        let request = site.client.request(reqwest::Method::GET, "/graphql?query=%7B__typename%7D");
        let request = request.header("upgrade", upgrade).header("connection", "upgrade, http2-settings");
        let answer = site.client.send(request.header("graphql-require-preflight", "1")).await;
        assert_eq!(answer.status.as_u16(), status, "{upgrade}: {answer:?}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_opens_no_socket() {
    let site = Site::start().await;
    for origin in ["https://evil.example", "null"] {
        let (status, body) =
            RawSocket::try_open(&site.client, &[PROTOCOL, ("origin", origin)]).await.err().unwrap();
        assert_eq!(
            (status, &body["errors"][0]["extensions"]["code"]),
            (403, &json!("FORBIDDEN")),
            "{origin}"
        );
    }
    let own = site.client.base_url.clone();
    assert!(RawSocket::try_open(&site.client, &[PROTOCOL, ("origin", &own)]).await.is_ok());
}

#[tokio::test]
async fn an_address_has_so_many_sockets_and_gets_places_back() {
    let site = Site::start_with(|settings| settings.sockets_per_address = 2, Vec::new()).await;
    let first = RawSocket::open(&site.client).await;
    let mut second = ready(&site).await;
    let (status, body) = RawSocket::try_open(&site.client, &[PROTOCOL]).await.err().unwrap();
    assert_eq!((status, &body["errors"][0]["extensions"]["code"]), (429, &json!("RATE_LIMITED")));
    second.send(json!({ "type": "connection_init" })).await;
    assert_eq!(second.close_code().await, 4429);
    drop((first, second));
    // The server sees that a socket has gone a moment after the client left.
    while RawSocket::try_open(&site.client, &[PROTOCOL]).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_socket_must_introduce_itself_in_time() {
    let site = Site::start_with(|settings| settings.init = Duration::from_millis(50), Vec::new()).await;
    assert_eq!(RawSocket::open(&site.client).await.close_code().await, 4408);
}

#[tokio::test]
async fn a_second_introduction_is_refused() {
    let site = Site::start().await;
    let mut socket = ready(&site).await;
    socket.send(json!({ "type": "connection_init" })).await;
    assert_eq!(socket.close_code().await, 4429);
}

#[tokio::test]
async fn nothing_is_subscribed_before_the_acknowledgement() {
    let site = Site::start().await;
    let mut socket = RawSocket::open(&site.client).await;
    socket.send(json!({ "id": "1", "type": "subscribe", "payload": { "query": "{ __typename }" } })).await;
    assert_eq!(socket.close_code().await, 4401);
    assert_eq!(site.probe.reached(), 0);
}

#[tokio::test]
async fn a_live_id_is_not_used_twice_and_a_finished_one_may_be() {
    let site = Site::start().await;
    let mut socket = ready(&site).await;
    let subscribe = |name: &str| {
        let query = format!("query {name} {{ __typename }}");
        json!({ "id": "1", "type": "subscribe", "payload": { "query": query, "operationName": name } })
    };
    for _ in 0..50 {
        socket.send(subscribe("Works")).await;
        let Received::Json(next) = socket.receive().await else { panic!() };
        assert_eq!((&next["id"], &next["type"]), (&json!("1"), &json!("next")));
        assert_eq!(next["payload"]["data"], json!({ "__typename": "Query" }));
        assert_eq!(socket.receive().await, Received::Json(json!({ "id": "1", "type": "complete" })));
    }
    socket.send(subscribe("Hangs")).await;
    socket.send(json!({ "id": "1", "type": "complete" })).await;
    socket.send(subscribe("Hangs")).await;
    socket.send(subscribe("Works")).await;
    assert_eq!(socket.close_code().await, 4409);
}

#[tokio::test]
async fn malformed_messages_end_the_socket() {
    let site = Site::start().await;
    let long = format!("{{\"type\":\"ping\",\"payload\":{{\"x\":\"{}\"}}}}", "x".repeat(300 * 1024));
    let messages = [
        Message::binary(b"{\"type\":\"ping\"}".to_vec()),
        Message::text("{"),
        Message::text("[]"),
        Message::text("{\"type\":\"start\",\"id\":\"1\"}"),
        Message::text("{\"type\":\"subscribe\",\"payload\":{}}"),
        Message::text(long),
    ];
    for message in messages {
        let mut socket = ready(&site).await;
        let shown = format!("{:.60}", message.to_string());
        socket.try_send_frame(message).await;
        assert_eq!(socket.close_code().await, 4400, "{shown}");
    }
}

#[tokio::test]
async fn a_long_message_may_come_in_one_frame() {
    let site = Site::start().await;
    let mut socket = ready(&site).await;
    let payload = json!({ "x": "x".repeat(250 * 1024) });
    socket.send(json!({ "type": "ping", "payload": payload })).await;
    assert_eq!(socket.receive().await, Received::Json(json!({ "type": "pong", "payload": payload })));
}

#[tokio::test]
async fn who_may_have_meant_a_credential_is_told_that_none_was_found() {
    let site = Site::start().await;
    for (payload, is_warned) in [
        (json!({ "token": "abc" }), true),
        (json!({ "headers": { "x-token": "abc" } }), true),
        (json!({ "authorization": null }), false),
        (json!({}), false),
    ] {
        let mut socket = RawSocket::open(&site.client).await;
        socket.send(json!({ "type": "connection_init", "payload": payload })).await;
        let Received::Json(ack) = socket.receive().await else { panic!("{payload}") };
        assert_eq!(ack["type"], "connection_ack");
        assert_eq!(ack["payload"]["warning"].is_string(), is_warned, "{payload}");
    }
}

#[tokio::test]
async fn a_message_in_many_frames_has_a_limit_too() {
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    };
    let site = Site::start().await;
    let mut socket = ready(&site).await;
    for n in 0..6 {
        let code = if n == 0 { Data::Text } else { Data::Continue };
        let frame = Frame::message(vec![b' '; 60 * 1024], OpCode::Data(code), false);
        socket.try_send_frame(Message::Frame(frame)).await;
    }
    assert_eq!(socket.close_code().await, 4400);
}

#[tokio::test]
async fn credentials_are_judged_at_the_introduction() {
    let site = Site::start().await;
    let live = format!("Bearer {}", site.token());
    site.clock.advance(chrono::TimeDelta::hours(2));
    let fresh = format!("Bearer {}", site.token());
    for (key, value, code) in [
        ("authorization", "Bearer abc", 4401),
        ("Authorization", "Basic abc", 4401),
        ("AUTHORIZATION", live.as_str(), 4403),
        // The database cannot be asked.
        ("authorization", fresh.as_str(), 1013),
    ] {
        let mut socket = RawSocket::open(&site.client).await;
        socket.send(json!({ "type": "connection_init", "payload": { key: value } })).await;
        assert_eq!(socket.close_code().await, code, "{value}");
    }
    let mut socket =
        RawSocket::try_open(&site.client, &[PROTOCOL, ("authorization", "Bearer abc")]).await.unwrap();
    socket.send(json!({ "type": "connection_init" })).await;
    assert_eq!(socket.close_code().await, 4401);
}

#[tokio::test]
async fn pings_are_answered_with_what_they_carried() {
    let site = Site::start().await;
    let mut socket = RawSocket::open(&site.client).await;
    socket.send(json!({ "type": "ping", "payload": { "n": 1 } })).await;
    assert_eq!(socket.receive().await, Received::Json(json!({ "type": "pong", "payload": { "n": 1 } })));
    socket.send(json!({ "type": "ping" })).await;
    assert_eq!(socket.receive().await, Received::Json(json!({ "type": "pong" })));
}

#[tokio::test]
async fn a_silent_socket_is_asked_and_then_dropped() {
    let site = Site::start_with(
        |settings| {
            settings.ping = Duration::from_millis(50);
            settings.silence = Duration::from_millis(400);
        },
        Vec::new(),
    )
    .await;
    let mut socket = ready(&site).await;
    let mut pings = 0;
    while socket.receive_any().await == Received::Json(json!({ "type": "ping" })) {
        pings += 1;
        // It answers for twice the time that it may be silent, then no more.
        if pings <= 16 {
            socket.try_send_frame(Message::text("{\"type\":\"pong\"}")).await;
        }
    }
    assert!(pings > 16, "{pings}");
}
