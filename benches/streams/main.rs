//! What a stream costs: `cargo bench --bench streams`, or a part of it: `… -- paced`, `burst`, `memory`, `writer`,
//! `stops` or `calls`. With `-- --quick` one short round of each, which shows that it works and little more.
//!
//! The real binary with its ordinary settings, its database, and a provider that is a real listener on loopback; beside
//! it, in the same rounds, a bare relay of the same streams (reqwest, axum, nothing else), which stores nothing. Clients of
//! the product use sockets, those of the relay server-sent events. Provider and clients are this process, so one clock
//! says how old a token is when it arrives; they share the processors with what is measured. Medians of three rounds. Exits
//! with 1 when a limit is exceeded. Linux only.
#![recursion_limit = "256"]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark that cannot go on stops, and prints its figures"
)]

mod clients;
mod paced;
#[path = "../edge/process.rs"]
mod process;
mod provider;
mod relay;
#[path = "../shared/server.rs"]
mod server;
#[path = "../shared/mod.rs"]
mod shared;
#[path = "../edge/sockets.rs"]
#[allow(dead_code, reason = "the edge uses more of it")]
mod sockets;
mod stamps;
mod stops;
mod writer;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use loquent::{
    domains::catalog::{self, Mode, Source},
    platform::{
        clock::Clock,
        postgres::{Db, pool::PoolSettings},
    },
};
use tokio::task::JoinSet;

use clients::Client;
use paced::Figures;
use provider::{Order, Provider};
use relay::Relay;
use server::Server;
use stamps::{Received, quantile};

const MAX_CPU_RATIO: f64 = 2.5;
const MAX_WRITER_MS: f64 = 25.0;
const MAX_STOP_HERE_MS: f64 = 20.0;
const MAX_STOP_ELSEWHERE_MS: f64 = 500.0;
const MAX_CALLS: f64 = 4.0;

/// Open streams whose memory is weighed.
const OPEN: u32 = 500;
/// Streams that come as fast as they can, and the tokens of each.
const HURRIED: (u32, u64) = (8, 20_000);

/// Everything on this machine is one address and one person, so what bounds these is out of the way.
const SETTINGS: &str = "[limits]\nsockets_per_user = 10000\nsockets_per_address = 10000\n\
    connections_per_address = 10000\nsocket_messages_per_second = 10000\n";
const CATALOG: &str = "format = 1\ndefault_plan = \"default\"\n\
    [models.bench]\nprovider = \"bench\"\ncontext_tokens = 100000\nmax_output_tokens = 4096\n\
    prices = { input = \"1\", output = \"1\" }\n\
    [ceilings]\nparallel = \"unlimited\"\n\
    [plans.default]\nname = \"Default\"\ncredits = \"100000\"\nmodels = [\"*\"]\n";

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let [_, role, provider] = words.as_slice()
        && role == "--relay"
    {
        return relay::serve(provider).await;
    }
    let is_quick = words.iter().any(|word| word == "--quick");
    // Cargo says `--bench`; anything else is the part that is asked for.
    let part = words.into_iter().skip(1).find(|word| !word.starts_with("--"));
    let home = tempfile::tempdir().unwrap();
    let cluster = shared::database(home.path()).await;
    let url = cluster.url("bench");
    offer(&url).await;
    let is_within = Bench::new(home.path(), &url, is_quick).measure(part.as_deref()).await;
    cluster.stop().await;
    if !is_within {
        std::process::exit(1);
    }
}

async fn offer(url: &str) {
    let content = catalog::read("bench.toml", CATALOG).unwrap_or_else(|faults| panic!("{faults}"));
    let source = Source { name: "bench.toml".to_owned(), text: CATALOG.to_owned() };
    let pool = PoolSettings { name: "bench", size: 1, wait: Duration::from_secs(10) };
    let db = Db::try_new(url, pool).unwrap();
    catalog::apply(&db, &Clock::default(), &source, &content, Mode::Apply).await.unwrap();
    db.close();
}

struct Bench<'a> {
    home: &'a Path,
    url: &'a str,
    provider: Provider,
    settings: String,
    rounds: usize,
    /// Of a round.
    lasting: Duration,
    is_within: bool,
}

impl<'a> Bench<'a> {
    fn new(home: &'a Path, url: &'a str, is_quick: bool) -> Self {
        let provider = Provider::start();
        let settings = format!("{SETTINGS}[providers.bench]\nbase_url = \"{}\"\n", provider.base_url);
        let (rounds, seconds) = if is_quick { (1, 4) } else { (3, 10) };
        let lasting = Duration::from_secs(seconds);
        Self { home, url, provider, settings, rounds, lasting, is_within: true }
    }

    async fn measure(mut self, part: Option<&str>) -> bool {
        let is_wanted = |name: &str| part.is_none_or(|part| part == name);
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        println!("streams: {} rounds of {:?}, {cores} cores", self.rounds, self.lasting);
        if is_wanted("writer") {
            self.writer().await;
        }
        let server = self.start();
        let token = clients::join(server.address).await;
        if is_wanted("paced") {
            self.paced(&server, &token).await;
        }
        if is_wanted("burst") {
            self.burst(&server, &token).await;
        }
        if is_wanted("stops") {
            self.stops(&server, &token).await;
        }
        if is_wanted("calls") {
            self.calls(&server, &token).await;
        }
        drop(server);
        if is_wanted("memory") {
            self.memory(&token).await;
        }
        self.is_within
    }

    fn start(&self) -> Server {
        Server::start(self.home, self.url, &self.settings)
    }

    /// A figure with its limit.
    fn judge(&mut self, name: &str, value: f64, unit: &str, limit: f64) {
        let is_within = value <= limit;
        self.is_within &= is_within;
        println!("{name} {value:.2}{unit} {limit}{unit} {}", if is_within { "ok" } else { "FAIL" });
    }

    async fn writer(&mut self) {
        let mut p99 = Vec::new();
        for round in 0..self.rounds {
            let mut written = writer::measure(self.url, self.lasting).await;
            let p50 = quantile(&mut written.ages, 0.5);
            p99.push(quantile(&mut written.ages, 0.99));
            let (rate, load) = (written.events_per_second, load());
            println!(
                "  writer, round {round}: {rate:.0} events/s, p50 {p50:.1} ms, p99 {:.1} ms, load {load}",
                p99[round]
            );
        }
        self.judge("writer_added_p99", median(&mut p99), " ms", MAX_WRITER_MS);
    }

    async fn paced(&mut self, server: &Server, token: &str) {
        let relay = Relay::start(&self.provider.base_url);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..self.rounds {
            theirs.push(paced::relay(&relay, self.lasting).await);
            ours.push(paced::product(server, token, self.lasting).await);
            println!("  paced, round {round}: load {}", load());
            print_figures("relay", &theirs[round]);
            print_figures("loquent", &ours[round]);
        }
        let of = |all: &[Figures], figure: fn(&Figures) -> f64| {
            median(&mut all.iter().map(figure).collect::<Vec<_>>())
        };
        let added = |figure: fn(&Figures) -> f64| of(&ours, figure) - of(&theirs, figure);
        println!("added_first_token {:.2} ms", added(|one| one.first));
        println!("added_latency_p50 {:.2} ms", added(|one| one.p50));
        println!("added_latency_p99 {:.2} ms", added(|one| one.p99));
        println!("log_commits {:.1} /s", of(&ours, |one| one.commits_per_second));
        println!("log_commits_per_token {:.4}", of(&ours, |one| one.commits_per_token));
        println!("cpu_per_token {:.1} µs", of(&ours, |one| one.cpu));
        println!("cpu_per_token_relay {:.1} µs", of(&theirs, |one| one.cpu));
        let all = of(&ours, |one| one.cpu_of_all) / of(&theirs, |one| one.cpu_of_all);
        println!("cpu_ratio_with_begin_and_end {all:.2}");
        let ratio = of(&ours, |one| one.cpu) / of(&theirs, |one| one.cpu);
        self.judge("cpu_per_token_ratio", ratio, "", MAX_CPU_RATIO);
    }

    async fn burst(&self, server: &Server, token: &str) {
        let (streams, tokens) = HURRIED;
        let relay = Relay::start(&self.provider.base_url);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let total = f64::from(streams) * tokens as f64;
            let received = Arc::new(Received::default());
            let mut open = JoinSet::new();
            for _ in 0..streams {
                open.spawn(ready(server, token).await.read_all(Order::burst(tokens), received.clone()));
            }
            let since = Instant::now();
            open.join_all().await;
            ours.push(total / since.elapsed().as_secs_f64());
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            let since = Instant::now();
            let order = Order::burst(tokens);
            let reading =
                (0..streams).map(|_| clients::read_relay(http.clone(), relay.address, order, &received));
            futures_util::future::join_all(reading).await;
            theirs.push(total / since.elapsed().as_secs_f64());
        }
        println!("burst {:.0} tokens/s (relay {:.0})", median(&mut ours), median(&mut theirs));
    }

    async fn stops(&mut self, server: &Server, token: &str) {
        let other = self.start();
        let count = 20 * self.rounds as u64;
        for (name, asked, ids, limit) in [
            ("stop_here", server, 0..count, MAX_STOP_HERE_MS),
            ("stop_elsewhere", &other, count..2 * count, MAX_STOP_ELSEWHERE_MS),
        ] {
            let mut took = stops::measure(&self.provider, token, (server, asked), ids).await;
            let p50 = quantile(&mut took, 0.5);
            println!("  {name}: n={count}, p50 {p50:.1} ms, load {}", load());
            self.judge(&format!("{name}_longest"), quantile(&mut took, 1.0), " ms", limit);
        }
    }

    async fn calls(&mut self, server: &Server, token: &str) {
        match paced::calls(server, token, self.home, self.lasting).await {
            Some(calls) => self.judge("system_calls_per_token", calls, "", MAX_CALLS),
            None => println!("system_calls_per_token SKIPPED, for want of strace"),
        }
    }

    /// What an open stream with its watcher keeps, of a process that has just begun.
    async fn memory(&self, token: &str) {
        let (server, relay) = (self.start(), Relay::start(&self.provider.base_url));
        let mut open = Vec::new();
        for _ in 0..20 {
            open.push(speaking(&server, token).await);
        }
        let before = process::resident(server.pid());
        for _ in 0..OPEN {
            open.push(speaking(&server, token).await);
        }
        let used = process::resident(server.pid()).saturating_sub(before) as f64 / f64::from(OPEN);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut answers = Vec::new();
        let mut before = 0;
        for n in 0..20 + OPEN {
            if n == 20 {
                before = process::resident(relay.pid());
            }
            let request = http.post(format!("http://{}/", relay.address));
            let mut answer = request.body(Order::silent().request().to_string()).send().await.unwrap();
            answer.chunk().await.unwrap();
            answers.push(answer);
        }
        let theirs = process::resident(relay.pid()).saturating_sub(before) as f64 / f64::from(OPEN);
        println!("memory_per_stream {used:.1} KiB (relay {theirs:.1}), of {OPEN}");
    }
}

/// Somebody who is connected.
async fn ready(server: &Server, token: &str) -> Client {
    Client::connect(server.address, token).await
}

/// Somebody with a stream that has begun and says nothing more.
async fn speaking(server: &Server, token: &str) -> Client {
    let mut client = ready(server, token).await;
    client.ask(Order::silent()).await;
    while client.tokens().await.expect("it goes on").is_empty() {}
    client
}

fn print_figures(name: &str, figures: &Figures) {
    let Figures { first, p50, p99, cpu, cpu_of_all, tokens_per_second, .. } = figures;
    println!(
        "    {name:<8} first {first:.1} ms, p50 {p50:.1} ms, p99 {p99:.1} ms, cpu {cpu:.1} µs a token \
         ({cpu_of_all:.1} with begin and end), {tokens_per_second:.0} tokens/s"
    );
}

/// How busy the machine was in the last minute.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap();
    text.split(' ').next().unwrap().to_owned()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
