//! Two processes over one database: the victim, which serves and is killed, and the survivor, which takes over. The next
//! victim is the third to look.

use std::time::Duration;

use serde_json::Value;

use crate::credits::is_full_size;
use crate::support::{
    binary::{Binary, Launch},
    client::Client,
    db::TestDb,
    processes::eventually,
    provider::ScriptedProvider,
    proxy::{Proxy, Side, Stall},
    restart::SIGNING_KEY,
    rows::{connect, row_when, rows},
};

/// From a kill to the end of everything that it left.
const LIMIT: Duration = Duration::from_secs(40);
/// Written by every process that lives, or by what it does at its hours.
const ALIVE: [&str; 10] = [
    "replicas",
    "jobs",
    "cron_entries",
    "cron_ticks",
    "ledger_checks",
    "cache_epochs",
    "stream_rotations",
    "sessions",
    "rate_limits",
    "__diesel_schema_migrations",
];
/// What every round of the sweeper begins with.
const SWEEP: &str = "SET fenced_at";

/// How often a process is killed at each of the seven points: 8, or more than 500 in all.
pub fn kills() -> usize {
    if is_full_size() { 72 } else { 8 }
}

pub struct Stage {
    pub provider: ScriptedProvider,
    db: TestDb,
    settings: String,
    victim: Option<Served>,
    survivor: Option<Served>,
    token: String,
}

/// A process behind a proxy of its own.
struct Served {
    binary: Binary,
    proxy: Proxy,
}

impl Stage {
    pub async fn start() -> Self {
        let (db, provider) = (TestDb::create().await, ScriptedProvider::start().await);
        let settings =
            format!("{SIGNING_KEY}[streams]\nlease_ms = 1000\n[limits]\nsockets_per_user = 1000\n");
        let mut stage = Self { provider, db, settings, victim: None, survivor: None, token: String::new() };
        stage.survivor = Some(stage.process().await);
        stage.victim = Some(stage.process().await);
        stage.token = stage.victim().binary.client.sign_up().await.token.unwrap();
        stage
    }

    async fn process(&self) -> Served {
        let proxy = Proxy::start(&self.db.url).await;
        let launch = Launch {
            database_url: proxy.url(),
            provider: self.provider.base_url(),
            settings: &self.settings,
        };
        Served { binary: Binary::start(&launch), proxy }
    }

    pub fn url(&self) -> &str {
        &self.db.url
    }

    fn victim(&self) -> &Served {
        self.victim.as_ref().unwrap()
    }

    fn survivor(&self) -> &Served {
        self.survivor.as_ref().unwrap()
    }

    /// The person at the process that will be killed.
    pub fn person(&self) -> Client {
        self.victim().binary.client.with_token(&self.token)
    }

    /// The person at the other.
    pub fn person_elsewhere(&self) -> Client {
        self.survivor().binary.client.with_token(&self.token)
    }

    /// The victim waits for ever at its next such statement.
    pub fn victim_stalls(&self, text: &'static str, side: Side) -> Stall {
        self.victim().proxy.stall(text, side)
    }

    pub fn survivor_stalls(&self, text: &'static str, side: Side) -> Stall {
        self.survivor().proxy.stall(text, side)
    }

    pub async fn kill_victim(&mut self) {
        self.victim.take().unwrap().binary.kill();
    }

    /// Kills the survivor in the midst of its recovery; another takes its place.
    pub async fn kill_survivor_at(&mut self, stall: &Stall) {
        tokio::time::timeout(LIMIT, stall.reached()).await.expect("the survivor takes over");
        self.survivor.take().unwrap().binary.kill();
        self.survivor = Some(self.process().await);
    }

    /// Returns once nothing is unfinished and no hold is open.
    pub async fn recovered(&self) {
        let is_over = "SELECT 1 AS one WHERE NOT EXISTS (SELECT FROM generations WHERE finished_at IS NULL) \
                          AND NOT EXISTS (SELECT FROM holds WHERE state = 'open')";
        row_when(self.url(), LIMIT, is_over).await;
        let differences = self.rows("SELECT problem, subject FROM ledger_differences").await;
        assert_eq!(differences, Vec::<Value>::new());
    }

    /// A third process comes, looks twice for what dead ones have left, and finds nothing to do. It is the next victim.
    pub async fn look_again(&mut self) {
        let before = self.everything().await;
        let third = self.process().await;
        let sweeps = || third.proxy.since(0).iter().filter(|flight| is_sweep(flight)).count();
        assert!(eventually(LIMIT, || sweeps() >= 3).await, "the third process does not look");
        self.victim = Some(third);
        let after = self.everything().await;
        assert_eq!(before, after, "a recovery that was over has changed something");
    }

    /// What all tables hold that no process writes just because it lives: number of rows and a sum of them.
    async fn everything(&self) -> Vec<Value> {
        let tables = "SELECT table_name::text AS name FROM information_schema.tables \
                       WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1";
        let names = self.rows(tables).await;
        let names = names.iter().map(|row| row["name"].as_str().unwrap());
        let sums: Vec<String> = names
            .filter(|name| !ALIVE.contains(name))
            .map(|name| {
                format!(
                    "SELECT '{name}' AS name, count(*) AS n, \
                     md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), '')) AS sum FROM \"{name}\" t"
                )
            })
            .collect();
        assert!(sums.len() > 10, "the tables were not found");
        self.rows(&sums.join(" UNION ALL ")).await
    }

    pub async fn rows(&self, query: &str) -> Vec<Value> {
        rows(&mut connect(self.url()).await, query).await
    }

    pub async fn close(self) {
        drop((self.victim, self.survivor));
        self.db.close().await;
    }
}

fn is_sweep(flight: &crate::support::proxy::Flight) -> bool {
    !flight.is_preparation && flight.sql.contains(SWEEP)
}
