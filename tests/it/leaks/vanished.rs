//! Clients that connect, watch, and are gone without a word, thousands of times: nothing of them stays.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{is_full, subscribe};
use crate::{
    generations::fed::{Fed, ROOMY},
    ops::metrics::scrape,
    support::{
        binary::{Binary, Launch},
        catalog::Offer,
        client::Client,
        db::TestDb,
        provider::ScriptedProvider,
        ws::{RawSocket, Received},
    },
};

/// What everything has to be back in.
const LIMIT: Duration = Duration::from_secs(5);
/// Clients between the begin of two runs and their ends.
const WAVE: usize = 200;
/// Clients at a time.
const AT_A_TIME: usize = 32;

const MESSAGE: &str = "subscription($id: ID!) { messageStream(messageId: $id) { __typename sequence
    ... on MessageSnapshot { message { text } } ... on TextDelta { text } } }";
const CONVERSATION: &str =
    "subscription($id: ID!) { conversationStream(conversationId: $id) { __typename sequence } }";
const GENERATION: &str =
    "subscription($id: ID!) { generationChanged(generationId: $id) { status revision } }";
const BALANCE: &str = "subscription { creditBalanceChanged { available held } }";
const QUOTA: &str = "subscription { quotaChanged { meter used held } }";

/// So that there is a limit to watch.
const QUOTAS: &str = "[[plans.default.limits]]\nmeter = \"messages\"\nwindow = \"day\"\nscope = \"member\"\namount = 1000000\n";

/// What a process counts of what may be left, zero without clients but for what it needs itself.
const GAUGES: [&str; 8] = [
    "loquent_websocket_connections",
    "loquent_graphql_subscriptions",
    "loquent_http_connections",
    "loquent_generations_running",
    "loquent_provider_calls_open",
    "loquent_db_pool_connections{pool=\"requests\",state=\"in_use\"}",
    "loquent_db_pool_connections{pool=\"background\",state=\"in_use\"}",
    "loquent_tasks",
];

/// What a process counts, asked over a connection of its own that is closed at once.
async fn counted(url: &str) -> BTreeMap<String, f64> {
    scrape(&Client::anonymous(url)).await
}

/// Waits until nothing is counted beyond `quiet`, and says how long that took.
async fn settled(url: &str, quiet: &BTreeMap<String, f64>) -> Duration {
    let since = Instant::now();
    loop {
        let now = counted(url).await;
        let left: Vec<_> =
            GAUGES.into_iter().filter(|gauge| now[*gauge] > quiet[*gauge]).map(|g| (g, now[g])).collect();
        if left.is_empty() {
            return since.elapsed();
        }
        assert!(since.elapsed() < LIMIT, "this is left: {left:?}, of {:?}", GAUGES.map(|g| quiet[g]));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The least of each gauge in a second without clients.
async fn quiet(url: &str) -> BTreeMap<String, f64> {
    let mut least = counted(url).await;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        for (name, value) in counted(url).await {
            let known = least.entry(name).or_insert(value);
            *known = known.min(value);
        }
    }
    least
}

/// Two answers, of which one says nothing, and the things to watch.
struct Wave {
    person: Client,
    talking: Mutex<Fed>,
    silent: Fed,
    /// Documents with the ids of what they watch; every third is about the silent answer.
    watched: [(&'static str, Value); 9],
}

impl Wave {
    async fn begin(provider: &ScriptedProvider, person: &Client) -> Self {
        let pieces: Vec<String> = (0..WAVE).map(|n| format!("{n} ")).collect();
        let talking = Fed::start(provider, person, &pieces).await;
        let silent = Fed::start(provider, person, &pieces).await;
        let of = |id: &str| json!({ "id": id });
        let watched = [
            (MESSAGE, of(&talking.message_id)),
            (CONVERSATION, of(&talking.conversation_id)),
            (MESSAGE, of(&silent.message_id)),
            (GENERATION, of(&talking.generation_id)),
            (BALANCE, json!({})),
            (GENERATION, of(&silent.generation_id)),
            (MESSAGE, of(&talking.message_id)),
            (QUOTA, json!({})),
            (CONVERSATION, of(&silent.conversation_id)),
        ];
        Self { person: person.clone(), talking: Mutex::new(talking), silent, watched }
    }

    /// Connects, watches and is gone: half of them before anything came, and half of those by a reset.
    async fn vanish(&self, n: usize) {
        let (document, variables) = &self.watched[n % self.watched.len()];
        let mut socket = RawSocket::open(&self.person).await;
        socket.init(self.person.token.as_deref()).await;
        self.talking.lock().unwrap().feed.give(1);
        socket.send(subscribe(document, variables.clone())).await;
        if n.is_multiple_of(2) {
            let Received::Json(frame) = socket.receive().await else { panic!("{document}: it has ended") };
            assert_eq!(frame["type"], "next", "{document}: {frame}");
        }
        let stream = socket.into_stream();
        if n % 4 < 2 {
            stream.set_zero_linger().unwrap();
        }
    }

    /// Stops the silent answer and lets the other come to its end.
    async fn end(self) {
        let stop = "mutation($id: ID!) { cancelGeneration(input: { id: $id }) { userErrors { code } } }";
        self.person.gql(stop, json!({ "id": self.silent.generation_id })).await.data();
        let mut talking = self.talking.into_inner().unwrap();
        talking.feed.give_all();
        let end = self.person.wait_for_end(&talking.message_id).await;
        assert_eq!(end["message"]["text"], talking.feed.text);
    }
}

/// So many clients of one person, who has no connection left afterwards.
async fn waves(provider: &ScriptedProvider, url: &str, token: &str, clients: usize) {
    let person = &Client::anonymous(url).with_token(token);
    for first in (0..clients).step_by(WAVE) {
        let wave = Arc::new(Wave::begin(provider, person).await);
        let mut vanishing = JoinSet::new();
        for n in first..clients.min(first + WAVE) {
            if vanishing.len() == AT_A_TIME {
                vanishing.join_next().await.unwrap().unwrap();
            }
            let wave = wave.clone();
            vanishing.spawn(async move { wave.vanish(n).await });
        }
        vanishing.join_all().await;
        Arc::into_inner(wave).unwrap().end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_of_clients_that_vanish() {
    // What a socket with a subscription keeps is 24 KiB and more, so a tenth of them left is seen at both sizes.
    let (warm_up, clients, most_bytes) =
        if is_full() { (5000, 10_000, 1_048_576.0) } else { (600, 600, 2_097_152.0) };
    let (db, provider) = (TestDb::create().await, ScriptedProvider::start().await);
    Offer::of_credits("10000").plan(QUOTAS).apply(&db.url).await;
    let launch = Launch { database_url: &db.url, provider: provider.base_url(), settings: ROOMY };
    let binary = Binary::start(&launch);
    let url = binary.client.base_url.as_str();
    let token = Client::anonymous(url).sign_up().await.token.unwrap();
    let quiet = quiet(url).await;
    waves(&provider, url, &token, warm_up).await;
    settled(url, &quiet).await;
    let before = counted(url).await["process_resident_memory_bytes"];
    waves(&provider, url, &token, clients).await;
    let took = settled(url, &quiet).await;
    provider.idle().await;
    let after = counted(url).await;
    let grown = after["process_resident_memory_bytes"] - before;
    let gone = after["loquent_websocket_closes_total{code=\"gone\"}"];
    println!(
        "vanished n={clients} silent={} back_in={took:?} grown_kib={:.0} of {:.0} at most={:.0} gone={gone}",
        clients / 3,
        grown / 1024.0,
        before / 1024.0,
        most_bytes / 1024.0
    );
    assert!(grown <= most_bytes, "{grown} bytes more after {clients} clients");
    assert!(gone >= clients as f64, "{gone} sockets have vanished");
    println!("vanished n={clients} ok");
}
