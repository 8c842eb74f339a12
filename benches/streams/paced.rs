//! A hundred streams of fifty tokens a second, end to end: through the product and through the relay.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;

use crate::{
    clients::{self, Client, Seen},
    process,
    provider::Order,
    relay::Relay,
    server::Server,
    stamps::{Received, quantile},
};

pub const STREAMS: u32 = 100;
pub const PER_SECOND: u32 = 50;

const FLUSHES: &str = "loquent_stream_log_flushes_total{outcome=\"ok\"}";

/// From the first stream to the moment from which all of them run evenly.
const SETTLING: Duration = Duration::from_millis(2000);
/// Streams begin one after the other within this time.
const BEGINNING: Duration = Duration::from_millis(1000);

/// What a round measured; times in milliseconds.
#[derive(Clone, Copy, Default)]
pub struct Figures {
    pub first: f64,
    pub p50: f64,
    pub p99: f64,
    /// Microseconds of processor time of the process for a token, while all streams run.
    pub cpu: f64,
    /// The same with the sending and ending of the streams.
    pub cpu_of_all: f64,
    pub tokens_per_second: f64,
    pub commits_per_second: f64,
    pub commits_per_token: f64,
}

/// What is measured while the streams run.
struct Window {
    cpu: Duration,
    tokens: u64,
    seconds: f64,
}

async fn window(pid: u32, received: &Received, lasting: Duration) -> Window {
    tokio::time::sleep(SETTLING).await;
    let (cpu, tokens, since) = (process::cpu(pid), received.count(), Instant::now());
    tokio::time::sleep(lasting.saturating_sub(SETTLING)).await;
    Window {
        cpu: process::cpu(pid) - cpu,
        tokens: received.count() - tokens,
        seconds: since.elapsed().as_secs_f64(),
    }
}

fn figures(pid: u32, before: Duration, mut seen: Vec<Seen>, window: &Window) -> Figures {
    let used = process::cpu(pid) - before;
    let mut firsts: Vec<Duration> = seen.iter().filter_map(|seen| seen.first).collect();
    let mut ages: Vec<Duration> = seen.iter_mut().flat_map(|seen| std::mem::take(&mut seen.ages)).collect();
    Figures {
        first: quantile(&mut firsts, 0.5),
        p50: quantile(&mut ages, 0.5),
        p99: quantile(&mut ages, 0.99),
        cpu: window.cpu.as_secs_f64() * 1e6 / window.tokens as f64,
        cpu_of_all: used.as_secs_f64() * 1e6 / ages.len() as f64,
        tokens_per_second: window.tokens as f64 / window.seconds,
        ..Figures::default()
    }
}

fn order(lasting: Duration) -> Order {
    Order::paced(lasting.as_secs() * u64::from(PER_SECOND), PER_SECOND)
}

async fn all(streams: JoinSet<Seen>, order: Order) -> Vec<Seen> {
    let seen = streams.join_all().await;
    for one in &seen {
        assert_eq!(one.ages.len() as u64, order.tokens, "tokens are missing");
    }
    seen
}

/// Starts the streams, the clients of which are connected already.
async fn begin(address: SocketAddr, token: &str, order: Order, received: &Arc<Received>) -> JoinSet<Seen> {
    let mut streams = JoinSet::new();
    for n in 0..STREAMS {
        let (mut client, received) = (Client::connect(address, token).await, received.clone());
        streams.spawn(async move {
            tokio::time::sleep(BEGINNING * n / STREAMS).await;
            client.read(order, &received).await
        });
    }
    streams
}

pub async fn product(server: &Server, token: &str, lasting: Duration) -> Figures {
    let (order, received) = (order(lasting), Arc::new(Received::default()));
    let before = process::cpu(server.pid());
    let streams = begin(server.address, token, order, &received).await;
    let commits = clients::metric(server.address, FLUSHES).await;
    let since = Instant::now();
    let window = window(server.pid(), &received, lasting).await;
    let commits = clients::metric(server.address, FLUSHES).await - commits;
    let per_second = commits / since.elapsed().as_secs_f64();
    let figures = figures(server.pid(), before, all(streams, order).await, &window);
    Figures {
        commits_per_second: per_second,
        commits_per_token: per_second / figures.tokens_per_second,
        ..figures
    }
}

pub async fn relay(relay: &Relay, lasting: Duration) -> Figures {
    let (order, received) = (order(lasting), Arc::new(Received::default()));
    let before = process::cpu(relay.pid());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut streams = JoinSet::new();
    for n in 0..STREAMS {
        let (http, address, received) = (http.clone(), relay.address, received.clone());
        streams.spawn(async move {
            tokio::time::sleep(BEGINNING * n / STREAMS).await;
            clients::read_relay(http, address, order, &received).await
        });
    }
    let window = window(relay.pid(), &received, lasting).await;
    figures(relay.pid(), before, all(streams, order).await, &window)
}

/// System calls of the product for a token; `None` where they cannot be counted. Being traced makes it slower.
pub async fn calls(server: &Server, token: &str, home: &Path, lasting: Duration) -> Option<f64> {
    let (order, received) = (order(lasting), Arc::new(Received::default()));
    let streams = begin(server.address, token, order, &received).await;
    tokio::time::sleep(SETTLING).await;
    let file = home.join("calls");
    let mut tracer = trace(server.pid(), &file)?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = received.count();
    tokio::time::sleep(lasting.saturating_sub(SETTLING + Duration::from_secs(1))).await;
    let tokens = received.count() - before;
    kill_process(Pid::from_raw(i32::try_from(tracer.id()).unwrap()).unwrap(), Signal::INT).unwrap();
    tracer.wait().unwrap();
    all(streams, order).await;
    let summary = std::fs::read_to_string(file).ok()?;
    let total = summary.lines().find(|line| line.ends_with("total"))?;
    let calls: f64 = total.split_whitespace().nth(3)?.parse().ok()?;
    // The tracer counted for half a second more than we did.
    let seconds = lasting.saturating_sub(SETTLING + Duration::from_secs(1)).as_secs_f64();
    Some(calls * (seconds / (seconds + 0.5)) / tokens as f64)
}

fn trace(pid: u32, file: &Path) -> Option<Child> {
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-p", &pid.to_string(), "-o"]).arg(file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
}
