//! What every process learns of the others within two seconds, with hints and without.

mod balances;
mod hints;
mod news;
mod sessions;
mod settings;

use std::{collections::HashSet, time::Duration};

use reqwest::Method;

use crate::support::{
    binary::{Binary, Launch},
    db::TestDb,
    restart::SIGNING_KEY,
};

/// What is promised.
const PROMISE: Duration = Duration::from_secs(2);

/// Processes of one database, which know each other's tokens. `more` belongs to the section `[auth]`.
async fn processes<const N: usize>(
    db: &TestDb,
    provider: &str,
    is_notifying: bool,
    more: &str,
) -> [Binary; N] {
    let settings = format!("{SIGNING_KEY}{more}\n[database]\nnotify = {is_notifying}\n");
    let launch = Launch { database_url: &db.url, provider, settings: &settings };
    let started = std::array::from_fn(|_| Binary::start(&launch));
    let mut replicas = HashSet::new();
    for process in &started {
        replicas.insert(replica_id(process).await);
    }
    assert_eq!(replicas.len(), N, "these are different processes");
    started
}

async fn replica_id(process: &Binary) -> String {
    let client = &process.client;
    let health = client.send(client.request(Method::GET, "/health")).await.body;
    health["parts"]["streamLog"]["replicaId"].as_str().unwrap_or_else(|| panic!("{health}")).to_owned()
}
