//! One limit on three processes, across the edges of its windows, and what a flood costs.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Stdio},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use loquent::platform::{
    clock::Clock,
    postgres::rate_limits::{Key, Limit},
};
use rand::RngExt;

use super::{ask as ask_once, limiter};
use crate::support::{cluster::variable, db::TestDb, proxy::Proxy, role::Role};

const DATABASE: &str = "LOQUENT_TEST_DATABASE";
const REQUESTS: &str = "LOQUENT_TEST_REQUESTS";
const PROCESSES: usize = 3;
const CALLERS: usize = 8;
const LIMIT: u32 = 60;
const WINDOW: Duration = Duration::from_secs(3);
/// A window and the margin that makes blocks safe.
const CYCLE: Duration = Duration::from_millis(4_250);

/// Role `asker`: begins with the first line of its standard input, and writes when it was given permits, in microseconds.
pub async fn ask() {
    let limiter = limiter(&variable(DATABASE).unwrap());
    let requests: usize = variable(REQUESTS).unwrap().parse().unwrap();
    // The connections are made before it begins.
    let warm = Limit::sliding(1, WINDOW);
    join_all((0..4).map(|n| {
        let (limiter, key) = (limiter.clone(), Key::new("warm", n + std::process::id()));
        async move { limiter.take(&key, &warm, 1).await.unwrap() }
    }))
    .await;
    println!("\nready");
    std::io::stdout().flush().unwrap();
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await.unwrap().unwrap();
    let caller = || async {
        let (clock, limit, mut stamps) = (Clock::default(), Limit::sliding(LIMIT, WINDOW), Vec::new());
        for _ in 0..requests / CALLERS {
            if ask_once(&limiter, &limit).await.is_admitted() {
                stamps.push(clock.now().timestamp_micros());
            }
            let pause = rand::rng().random_range(0..40);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        stamps
    };
    let stamps: Vec<i64> = join_all((0..CALLERS).map(|_| caller())).await.concat();
    let text: Vec<String> = stamps.iter().map(ToString::to_string).collect();
    println!("\nstamps {}", text.join(" "));
}

/// One of the processes; it ends with the value.
struct Asker(Child);

impl Asker {
    fn start(url: &str, requests: usize) -> Self {
        let mut command = Role::Asker.command();
        command.env(DATABASE, url).env(REQUESTS, requests.to_string());
        Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Reads up to the line with this first word, and returns the rest of it.
    fn line(lines: &mut impl Iterator<Item = std::io::Result<String>>, word: &str) -> String {
        let mut found = lines.filter_map(|line| line.unwrap().strip_prefix(word).map(str::to_owned));
        found.next().expect("the process says so before it ends")
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Most stamps within a window, wherever it begins.
fn most_within(stamps: &[DateTime<Utc>], window: TimeDelta) -> usize {
    let mut first = 0;
    let counts = stamps.iter().enumerate().map(|(last, stamp)| {
        while *stamp - stamps[first] >= window {
            first += 1;
        }
        last - first + 1
    });
    counts.max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_never_let_more_than_the_limit_through() {
    // A caller asks fifty times a second: two cycles and a little more, or many.
    let each = if variable("TEST_SCALE").is_some() { 16_672 } else { 3_336 };
    let requests = each * PROCESSES;
    let db = TestDb::create().await;
    let mut askers: Vec<Asker> = (0..PROCESSES).map(|_| Asker::start(&db.url, each)).collect();
    let said = tokio::task::spawn_blocking(move || {
        let mut lines: Vec<_> =
            askers.iter_mut().map(|asker| BufReader::new(asker.0.stdout.take().unwrap()).lines()).collect();
        for lines in &mut lines {
            Asker::line(lines, "ready");
        }
        for asker in &mut askers {
            asker.0.stdin.take().unwrap().write_all(b"go\n").unwrap();
        }
        let said: Vec<String> = lines.iter_mut().map(|lines| Asker::line(lines, "stamps")).collect();
        said
    })
    .await
    .unwrap();
    let of_each = said.iter().map(|text| text.split_whitespace().count()).collect::<Vec<_>>();
    let mut stamps: Vec<DateTime<Utc>> = said
        .iter()
        .flat_map(|text| text.split_whitespace())
        .map(|stamp| DateTime::from_timestamp_micros(stamp.parse().unwrap()).unwrap())
        .collect();
    stamps.sort_unstable();
    let most = most_within(&stamps, TimeDelta::from_std(WINDOW).unwrap());
    assert!(most <= LIMIT as usize, "{most} within a window of {LIMIT}");
    // Each cycle gives nearly all of its permits; the last one was not whole.
    let time = (*stamps.last().unwrap() - stamps[0]).to_std().unwrap();
    let cycles = usize::try_from(time.as_millis() / CYCLE.as_millis()).unwrap();
    let least = cycles.max(1) * (LIMIT as usize) * 9 / 10;
    assert!(stamps.len() >= least, "{} admitted in {time:?}, by process {of_each:?}", stamps.len());
    assert!(requests >= 10_000);
    println!("rate_window n={requests} admitted={} most={most} ok", stamps.len());
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_used_at_the_end_of_its_block_is_still_in_its_window() {
    let db = TestDb::create().await;
    let (one, other, limit) = (limiter(&db.url), limiter(&db.url), Limit::sliding(LIMIT, WINDOW));
    let clock = Clock::default();
    let mut stamps = Vec::new();
    // Blocks of 1, 2, 4 and 7 permits, the last of them with 6 left; the other process takes the rest of the window.
    for _ in 0..8 {
        assert!(ask_once(&one, &limit).await.is_admitted());
        stamps.push(clock.now());
    }
    while ask_once(&other, &limit).await.is_admitted() {
        stamps.push(clock.now());
    }
    assert_eq!(stamps.len(), LIMIT as usize - 6);
    tokio::time::sleep(Duration::from_millis(850)).await;
    for _ in 0..6 {
        assert!(ask_once(&one, &limit).await.is_admitted(), "the block lapsed early");
        stamps.push(clock.now());
    }
    // From now on both ask again and again, until the next window is used up.
    while stamps.len() < 2 * LIMIT as usize {
        for limiter in [&one, &other] {
            if ask_once(limiter, &limit).await.is_admitted() {
                stamps.push(clock.now());
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let most = most_within(&stamps, TimeDelta::from_std(WINDOW).unwrap());
    assert!(most <= LIMIT as usize, "{most} within a window of {LIMIT}");
    println!("rate_blocks n={} most={most} ok", stamps.len());
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_a_refused_key_costs_next_to_nothing() {
    const FLOOD: usize = 10_000;
    let db = TestDb::create().await;
    let proxy = Proxy::start(&db.url).await;
    let (limiter, limit) = (limiter(proxy.url()), Limit::sliding(LIMIT, Duration::from_secs(60)));
    let asked = |mark| proxy.since(mark).iter().filter(|flight| flight.sql.contains("rate_take")).count();
    // Fifty at once are one question for all who wait, or a few.
    let mark = proxy.count();
    let first = join_all((0..50).map(|_| ask_once(&limiter, &limit))).await;
    let cold = asked(mark);
    assert!(first.iter().all(loquent::platform::postgres::rate_limits::Outcome::is_admitted));
    assert!(cold <= 10, "{cold} statements for fifty callers");
    let mark = proxy.count();
    let mut admitted = 50;
    for _ in 0..FLOOD / 50 {
        let outcomes = join_all((0..50).map(|_| ask_once(&limiter, &limit))).await;
        admitted += outcomes.iter().filter(|outcome| outcome.is_admitted()).count();
    }
    let flood = asked(mark);
    assert_eq!(admitted, LIMIT as usize);
    assert!(flood <= 10, "{flood} statements");
    println!("rate_flood n={FLOOD} statements={flood} ok");
    drop(proxy);
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_its_database_away_a_limit_says_so_at_once() {
    let limiter = limiter("postgres://nobody@127.0.0.1:1/nowhere");
    let (key, limit) = (Key::new("test", "somebody"), Limit::sliding(LIMIT, WINDOW));
    let begun = std::time::Instant::now();
    for _ in 0..1_000 {
        let error = limiter.take(&key, &limit, 1).await.unwrap_err();
        assert_eq!(error.code(), loquent::error::ErrorCode::ServiceUnavailable);
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "every request waits for the database");
}
