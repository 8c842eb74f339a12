//! The yardstick: the same stream through reqwest and axum, and nothing else. It is this executable again, as a process
//! of its own.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
    routing::post,
};
use tokio::net::TcpListener;

/// A running relay; it ends with the value.
pub struct Relay {
    child: Child,
    pub address: SocketAddr,
}

impl Relay {
    /// Starts this executable again, in its other role.
    pub fn start(provider: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--relay", provider])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line)
            .unwrap();
        Self { child, address: line.trim().parse().unwrap() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other role: serves until it is killed.
pub async fn serve(provider: &str) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{provider}/chat/completions");
    let router = Router::new().route("/", post(relay)).with_state((http, url));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await.unwrap();
}

async fn relay(State((http, url)): State<(reqwest::Client, String)>, body: Bytes) -> Response {
    let request = http.post(url).header(CONTENT_TYPE, "application/json").body(body);
    let answer = request.send().await.unwrap();
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(answer.bytes_stream())).into_response()
}
