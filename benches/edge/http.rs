//! The load: keep-alive connections that send one prepared request again and again. Cheap on purpose, because it shares
//! the processor with what is measured.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// Connections at a time.
const CONNECTIONS: usize = 16;

/// A request as it goes over the wire.
#[derive(Clone)]
pub struct Request(Vec<u8>);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Request {
    /// A POST of JSON, with a bearer token if there is one.
    pub fn post(path: &str, token: Option<&str>, body: &str) -> Self {
        let authorization =
            token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: application/graphql-response+json\r\n{authorization}content-length: {}\r\n\r\n",
            body.len()
        );
        Self([head.as_bytes(), body.as_bytes()].concat())
    }

    /// Sends it once over a connection of its own.
    pub async fn send(&self, address: SocketAddr) -> Answer {
        let mut stream = connect(address).await;
        exchange(&mut stream, &self.0, &mut Vec::new()).await
    }

    /// Sends it `count` times over several connections; every answer must have this status.
    pub async fn repeat(&self, address: SocketAddr, count: usize, status: u16) {
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let request = self.clone();
            connections.spawn(async move {
                let mut stream = connect(address).await;
                let mut unread = Vec::new();
                for _ in 0..count / CONNECTIONS {
                    let answer = exchange(&mut stream, &request.0, &mut unread).await;
                    assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(&answer.body));
                }
            });
        }
        while let Some(result) = connections.join_next().await {
            result.unwrap();
        }
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// One request and its answer, whose length must be given.
async fn exchange(stream: &mut TcpStream, request: &[u8], unread: &mut Vec<u8>) -> Answer {
    stream.write_all(request).await.unwrap();
    loop {
        if let Some(head) = unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&unread[..head]).to_ascii_lowercase();
            let status = text[9..12].parse().unwrap();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.unwrap_or_else(|| panic!("no length: {text}")).parse().unwrap();
            let end = head + 4 + length;
            if unread.len() >= end {
                let body = unread[head + 4..end].to_vec();
                unread.drain(..end);
                return Answer { status, body };
            }
        }
        let count = stream.read_buf(unread).await.unwrap();
        assert!(count > 0, "the server hung up");
    }
}
