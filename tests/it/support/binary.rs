//! The real binary as a process of its own, for tests that kill it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{
    app::{environment, provider_settings},
    client::Client,
    cluster::variable,
    processes::eventually,
};

/// A running `loquent serve --dev`, or `loquent runner --dev`, over a given database.
pub struct Binary {
    /// Nobody in particular. A runner shows only its health.
    pub client: Client,
    child: Reaped,
    /// Removed with the process, when it was made for it.
    home: Option<TempDir>,
}

/// How a process is started.
pub struct Launch<'a> {
    pub database_url: &'a str,
    /// Address of a scripted provider.
    pub provider: &'a str,
    /// More of the configuration file.
    pub settings: &'a str,
}

impl Binary {
    /// Starts the process and waits until it says where it listens.
    pub fn start(launch: &Launch<'_>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let running =
            Self::start_in(home.path(), Some(launch.database_url), launch.provider, launch.settings);
        Self { home: Some(home), ..running }
    }

    /// Starts a `loquent runner` and waits until it says where its health is.
    pub fn start_runner(launch: &Launch<'_>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let running =
            Self::spawn(home.path(), "runner", Some(launch.database_url), launch.provider, launch.settings);
        Self { home: Some(home), ..running }
    }

    /// The same as [`Self::start`] in a home that outlives the process; without an address it brings its own database.
    pub fn start_in(home: &Path, database_url: Option<&str>, provider: &str, settings: &str) -> Self {
        Self::spawn(home, "serve", database_url, provider, settings)
    }

    fn spawn(home: &Path, word: &str, database_url: Option<&str>, provider: &str, settings: &str) -> Self {
        let file = home.join("loquent.toml");
        std::fs::write(&file, format!("{settings}\n{}", provider_settings(provider))).unwrap();
        let mut command = command(home, database_url.unwrap_or_default());
        if database_url.is_none() {
            command.env_remove("DATABASE_URL");
        }
        let mut child = command
            .args([word, "--dev", "--port", "0", "--config"])
            .arg(&file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("the process ended before it was ready").unwrap();
            let place =
                line.trim_start().strip_prefix("GraphQL ").or(line.trim_start().strip_prefix("Health "));
            if let Some(url) = place.and_then(|place| place.split_whitespace().next()) {
                break url.rsplit_once('/').unwrap().0.to_owned();
            }
        };
        // What it says later is read too, so that it never waits for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { client: Client::anonymous(address), child: Reaped(child), home: None }
    }

    /// Its id among the replicas, as it says itself.
    pub async fn replica_id(&self) -> String {
        let health = self.client.send(self.client.request(Method::GET, "/health")).await;
        let id = &health.body["parts"]["streamLog"]["replicaId"];
        id.as_str().unwrap_or_else(|| panic!("{health:?}")).to_owned()
    }

    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.0.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGKILL, and waits until the process is gone.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.0.wait().unwrap();
    }

    /// Waits for the end of the process after a signal; its exit code, if it ended by itself in time.
    pub async fn ended(&mut self, limit: Duration) -> Option<i32> {
        let child = &mut self.child.0;
        let mut code = None;
        let is_over = eventually(limit, || {
            code = child.try_wait().unwrap();
            code.is_some()
        })
        .await;
        is_over.then(|| code.and_then(|status| status.code())).flatten()
    }
}

/// A child that does not outlive the test.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The binary with a home of its own and nothing of the environment of the tests.
pub fn command(home: &Path, database_url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loquent"));
    command
        .env_clear()
        .envs(environment())
        .env("PATH", variable("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("LOQUENT_DATA_DIR", home)
        .env("LOQUENT_CACHE_DIR", home)
        .env("DATABASE_URL", database_url)
        .current_dir(home)
        .stdin(Stdio::null());
    command
}
