//! What the edge costs: `cargo bench --bench edge`, or a part of it: `cargo bench --bench edge -- time`, `… -- memory`.
//!
//! The real binary, in a release build and with its ordinary settings, beside a bare axum handler that runs the very
//! same statements against the same database in the same rounds. The processor time is that of the server process
//! alone, as the kernel counts it, so other work on the machine disturbs little. Medians of three rounds. Exits with 1
//! when a limit is exceeded. Linux only.
//!
//! Limits: a `viewer` request costs at most 4 times the bare handler; the process has at most 40 MiB after its start; an
//! idle subscription keeps at most 24 KiB (2,000 sockets, second cycle); a million refused requests leave memory where
//! it was, give or take 4 MiB.
#![recursion_limit = "256"]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark that cannot go on stops, and prints its figures"
)]

mod bare;
mod http;
mod process;
mod product;
#[path = "../../tests/it/support/proxy.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod proxy;
#[path = "../shared/server.rs"]
mod server;
#[path = "../shared/mod.rs"]
mod shared;
mod sockets;

use std::{net::SocketAddr, path::Path, time::Duration};

use serde_json::{Value, json};

use bare::Bare;
use http::Request;
use proxy::Proxy;
use server::Server;

const ROUNDS: usize = 3;
const WATCHERS: usize = 2000;
const REFUSED: usize = 1_000_000;

const MAX_VIEWER_RATIO: f64 = 4.0;
const MAX_START_KIB: u64 = 40 * 1024;
const MAX_WATCHER_KIB: f64 = 24.0;
const MAX_GROWTH_KIB: u64 = 4 * 1024;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let [_, role, url, plan] = words.as_slice()
        && role == "--bare"
    {
        return bare::serve(url, Path::new(plan)).await;
    }
    // Cargo says `--bench`; anything else is the part that is asked for.
    let part = words.into_iter().skip(1).find(|word| !word.starts_with("--"));
    let home = tempfile::tempdir().unwrap();
    let cluster = shared::database(home.path()).await;
    let is_within = measure(home.path(), &cluster.url("bench"), part.as_deref()).await;
    cluster.stop().await;
    if !is_within {
        std::process::exit(1);
    }
}

async fn measure(home: &Path, url: &str, part: Option<&str>) -> bool {
    let is_wanted = |name: &str| part.is_none_or(|part| part == name);
    // Recorded through a proxy by a process of its own; what is measured has nothing between it and the database.
    let proxy = Proxy::start(url).await;
    let recorded = product::start(home, proxy.url());
    let token = product::person(recorded.address).await;
    let mut cases = Vec::new();
    for query in [product::VIEWER, product::NESTED] {
        cases.push(product::record(&proxy, recorded.address, &token, query).await);
    }
    drop((recorded, proxy));
    let plan = home.join("plan.json");
    std::fs::write(&plan, serde_json::to_vec(&cases).unwrap()).unwrap();

    let product = product::start(home, url);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let at_start = process::resident(product.pid());
    let bare = Bare::start(url, &plan);
    println!("edge: {ROUNDS} rounds, median (least to most), processor time of the server alone");
    let mut verdict = Verdict::default();
    if is_wanted("time") {
        processor_time(&product, &bare, &token, &cases, &mut verdict).await;
    }
    let start = format!("memory after the start: {:.1} MiB, at most {}", mib(at_start), MAX_START_KIB / 1024);
    verdict.add(&start, at_start <= MAX_START_KIB);
    drop((product, bare));
    if is_wanted("memory") {
        memory(home, url, &token, &mut verdict).await;
    }
    verdict.is_within
}

/// Prints each line with its judgement.
struct Verdict {
    is_within: bool,
}

impl Default for Verdict {
    fn default() -> Self {
        Self { is_within: true }
    }
}

impl Verdict {
    fn add(&mut self, line: &str, is_within: bool) {
        println!("{line}: {}", if is_within { "ok" } else { "TOO MUCH" });
        self.is_within &= is_within;
    }
}

/// One thing to do, on both sides.
struct Load<'a> {
    name: &'static str,
    count: usize,
    product: Work<'a>,
    bare: Work<'a>,
}

enum Work<'a> {
    Requests { request: Request, status: u16 },
    Messages { path: &'static str, token: Option<&'a str> },
}

impl Work<'_> {
    async fn run(&self, address: SocketAddr, count: usize) {
        match self {
            Self::Requests { request, status } => request.repeat(address, count, *status).await,
            Self::Messages { path, token } => sockets::exchange(address, path, *token, count).await,
        }
    }

    /// Microseconds of processor time for each.
    async fn cost(&self, address: SocketAddr, pid: u32, count: usize) -> f64 {
        let before = process::cpu(pid);
        self.run(address, count).await;
        (process::cpu(pid) - before).as_secs_f64() * 1e6 / count as f64
    }
}

async fn processor_time(
    product: &Server,
    bare: &Bare,
    token: &str,
    cases: &[bare::Case],
    verdict: &mut Verdict,
) {
    for (case, answer) in cases.iter().enumerate() {
        let statements = answer.statements.len();
        println!("case {case}: {statements} statements, {} bytes of answer", answer.body.len());
    }
    for load in loads(token) {
        let (mut ours, mut floor) = (Vec::new(), Vec::new());
        load.product.run(product.address, load.count / 4).await;
        load.bare.run(bare.address, load.count / 4).await;
        for _ in 0..ROUNDS {
            ours.push(load.product.cost(product.address, product.pid(), load.count).await);
            floor.push(load.bare.cost(bare.address, bare.pid(), load.count).await);
        }
        let ratio = median(&mut ours) / median(&mut floor);
        let line = format!(
            "{:<24} {:>22} us, bare {:>22} us, ratio {ratio:.1}",
            load.name,
            spread(&ours),
            spread(&floor)
        );
        let is_limited = load.name == "viewer";
        verdict.add(&line, !is_limited || ratio <= MAX_VIEWER_RATIO);
    }
}

fn loads(token: &str) -> Vec<Load<'_>> {
    let ask = |query: &str| product::operation(Some(token), query, &json!({}));
    let bare = |path: &str| Request::post(path, None, "{}");
    let requests = |request, status| Work::Requests { request, status };
    vec![
        Load {
            name: "viewer",
            count: 20_000,
            product: requests(ask(product::VIEWER), 200),
            bare: requests(bare("/case/0"), 200),
        },
        Load {
            name: "nested list, 20 x 5",
            count: 2_000,
            product: requests(ask(product::NESTED), 200),
            bare: requests(bare("/case/1"), 200),
        },
        Load {
            name: "query over a socket",
            count: 20_000,
            product: Work::Messages { path: "/graphql", token: Some(token) },
            bare: Work::Messages { path: "/socket", token: None },
        },
        Load {
            name: "refused bomb",
            count: 20_000,
            product: requests(bomb(), 400),
            bare: requests(Request::post("/refuse", None, &bomb_body()), 400),
        },
    ]
}

/// Fragments, each of which spreads the next one twice: 2^40 fields.
fn bomb_body() -> String {
    let fragments: String =
        (0..40).map(|n| format!("fragment F{n} on Viewer {{ ...F{m} ...F{m} }} ", m = n + 1)).collect();
    let query = format!("{{ viewer {{ ...F0 }} }} {fragments} fragment F40 on Viewer {{ __typename }}");
    json!({ "query": query, "variables": Value::Null }).to_string()
}

fn bomb() -> Request {
    Request::post("/graphql", None, &bomb_body())
}

async fn memory(home: &Path, url: &str, token: &str, verdict: &mut Verdict) {
    let product = product::start(home, url);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = process::resident(product.pid());
    let mut kept = Vec::new();
    for _ in 0..2 {
        let (_, message) =
            product::send(product.address, token, "Hold on /words 3 /pace 0 /stall 2", &Value::Null).await;
        let open = sockets::watchers(product.address, token, &message, WATCHERS).await;
        let used = process::resident(product.pid()).saturating_sub(before);
        kept.push(used as f64 / WATCHERS as f64);
        sockets::close(open).await;
    }
    let line = format!(
        "idle subscription: {:.1} KiB in the first cycle, {:.1} in the second, at most {MAX_WATCHER_KIB}",
        kept[0], kept[1]
    );
    verdict.add(&line, kept[1] <= MAX_WATCHER_KIB);

    drop(product);

    let product = product::start(home, url);
    bomb().repeat(product.address, 50_000, 400).await;
    let before = process::resident(product.pid());
    bomb().repeat(product.address, REFUSED, 400).await;
    let after = process::resident(product.pid());
    let line = format!("{REFUSED} refused requests: {:.1} MiB before, {:.1} after", mib(before), mib(after));
    verdict.add(&line, after <= before + MAX_GROWTH_KIB);
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Of sorted values.
fn spread(values: &[f64]) -> String {
    format!("{:.1} ({:.1} to {:.1})", values[values.len() / 2], values[0], values[values.len() - 1])
}
