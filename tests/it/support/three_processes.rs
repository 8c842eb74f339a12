//! Three real processes over one database, and callers who are let go at the same moment.
//!
//! ```ignore
//! let three = ThreeProcesses::start(&db, &provider, "[limits]\n");
//! let person = three.sign_up().await;
//! for round in 0..rounds() {
//!     let answers = three.race(CALLERS, &[person], |client, n| async move { client.send_text(..).await }).await;
//! }
//! ```

use std::{future::Future, sync::Arc};

use reqwest::Method;
use tokio::{sync::Barrier, task::JoinSet};

use super::{
    binary::{Binary, Launch},
    client::Client,
    cluster::variable,
    db::TestDb,
    provider::ScriptedProvider,
    restart::SIGNING_KEY,
};

/// Callers of a race.
pub const CALLERS: usize = 50;

/// How often a race is run: 20 times, or 3 at the size of CI.
pub fn rounds() -> usize {
    if variable("TEST_SCALE").is_some_and(|scale| scale == "full") { 20 } else { 3 }
}

/// The processes; they end with the value.
pub struct ThreeProcesses([Binary; 3]);

impl ThreeProcesses {
    /// Starts them with settings of the test's own, which say nothing of `[auth]`. Each can ask the database for as many
    /// things at a time as it has callers.
    pub fn start(db: &TestDb, provider: &ScriptedProvider, settings: &str) -> Self {
        let settings = format!("{SIGNING_KEY}[database]\nrequest_pool = 20\nwait_ms = 50000\n{settings}");
        let launch = Launch { database_url: &db.url, provider: provider.base_url(), settings: &settings };
        Self([(); 3].map(|()| Binary::start(&launch)))
    }

    /// Somebody new, whose token all of them know.
    pub async fn sign_up(&self) -> Client {
        self.0[0].client.sign_up().await
    }

    /// The same person at one of the processes, in turns.
    pub fn at(&self, person: &Client, caller: usize) -> Client {
        self.0[caller % 3].client.with_token(person.token.clone().unwrap())
    }

    /// Lets so many callers go at once, each with a connection that is open: each of the people in turns, a third of the
    /// callers to each process. Their results, in the order of their numbers.
    pub async fn race<T, F>(
        &self,
        callers: usize,
        people: &[Client],
        call: impl Fn(Client, usize) -> F + Clone + Send + 'static,
    ) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send,
    {
        let barrier = Arc::new(Barrier::new(callers));
        let mut running = JoinSet::new();
        for caller in 0..callers {
            let client = self.at(&people[caller % people.len()], caller);
            let (barrier, call) = (barrier.clone(), call.clone());
            running.spawn(async move {
                client.send(client.request(Method::GET, "/health")).await;
                barrier.wait().await;
                (caller, call(client, caller).await)
            });
        }
        let mut results = running.join_all().await;
        results.sort_by_key(|(caller, _)| *caller);
        results.into_iter().map(|(_, result)| result).collect()
    }
}
