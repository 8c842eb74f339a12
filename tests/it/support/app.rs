//! The whole application in this process, over a database of its own and a scripted provider.

use std::{collections::BTreeMap, fmt::Write, net::Ipv4Addr, sync::Arc, time::Duration};

use loquent::{
    app::App,
    config::{Config, ConfigFile, Directories, Flags, SigningKey, Sources},
    domains::{
        credits,
        moderation::{AllowsAll, Moderator},
    },
    graphql::rates::Rates,
    jobs::Registry,
    platform::clock::Clock,
    server::{Routes, Running, Server},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    catalog::Offer, client::Client, cluster::variable, db::TestDb, provider::ScriptedProvider, rows::row,
};

/// Key of the model that the scripted provider serves.
pub const MODEL: &str = "scripted";

/// The application on a port of loopback. A test ends with [`TestApp::close`], which proves that nothing is left behind.
pub struct TestApp {
    /// Nobody in particular.
    pub client: Client,
    pub provider: ScriptedProvider,
    pub db: TestDb,
    pub app: App,
    running: Option<Running>,
    is_closed: bool,
}

/// What a test wants to be different.
#[derive(Default)]
pub struct Builder {
    settings: String,
    offer: Option<Offer>,
    is_production: bool,
    database_url: Option<String>,
    jobs: Registry,
    rates: Option<Rates>,
    moderator: Option<Arc<dyn Moderator>>,
}

impl TestApp {
    /// The application as it comes.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Stops, and proves that it left nothing behind: no hold, no job that runs, and books that agree.
    pub async fn close(mut self) {
        self.stop(Duration::from_secs(5)).await;
    }

    /// The same, with so much time for what still runs; the database stays until the value goes.
    pub async fn stop(&mut self, limit: Duration) {
        self.is_closed = true;
        if let Some(running) = self.running.take() {
            running.drain(Duration::from_secs(5)).await;
        }
        let (checked, differences) = credits::check(&self.app.api.db).await.unwrap();
        let is_clean = self.app.stop(tokio::time::Instant::now() + limit).await;
        assert!(is_clean, "something still ran");
        let jobs = row(&self.db.url, "SELECT count(*) AS running FROM jobs WHERE state = 'running'").await;
        assert_eq!(jobs["running"], 0, "jobs are left running");
        assert!(differences.is_empty(), "{checked:?} {differences:?}");
        assert_eq!(checked.open_holds, 0, "holds are left");
    }

    /// The application stops hearing requests; for tests of what comes after.
    pub async fn stop_serving(&mut self) {
        if let Some(running) = self.running.take() {
            running.drain(Duration::from_secs(5)).await;
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if !self.is_closed && !std::thread::panicking() {
            panic!("a test ends with TestApp::close, which looks for what is left");
        }
    }
}

impl Builder {
    /// Gives the plan of everybody so many credits.
    pub fn credits(self, credits: &str) -> Self {
        self.offer(|offer| offer.credits(credits))
    }

    /// Adds lines to the catalogue, such as models.
    pub fn catalog(self, toml: &str) -> Self {
        self.offer(|offer| offer.with(toml))
    }

    /// Changes the offer of the tests, before the application starts.
    pub fn offer(mut self, change: impl FnOnce(Offer) -> Offer) -> Self {
        self.offer = Some(change(self.offer.unwrap_or_default()));
        self
    }

    /// Adds lines of the configuration file, such as `[limits]\nsockets_per_user = 1`.
    pub fn settings(mut self, toml: &str) -> Self {
        writeln!(self.settings, "{toml}").unwrap();
        self
    }

    /// Runs jobs of the test's own kinds.
    pub fn jobs(mut self, jobs: Registry) -> Self {
        self.jobs = jobs;
        self
    }

    /// How much of the API a caller may use. Under `--dev`, as usual here, nobody on this machine is counted.
    pub fn rates(mut self, rates: Rates) -> Self {
        self.rates = Some(rates);
        self
    }

    /// Who judges what people send to models.
    pub fn moderator(mut self, moderator: Arc<dyn Moderator>) -> Self {
        self.moderator = Some(moderator);
        self
    }

    /// Serves as without `--dev`.
    pub fn outside_development(mut self) -> Self {
        self.is_production = true;
        self
    }

    /// Reaches the database by another address, such as a proxy before it.
    pub fn database_through(mut self, address: impl FnOnce(&str) -> String, db: &TestDb) -> Self {
        self.database_url = Some(address(&db.url));
        self
    }

    pub async fn start(self) -> TestApp {
        let db = TestDb::create().await;
        self.start_over(db).await
    }

    /// Starts over a database that the test has prepared.
    pub async fn start_over(self, db: TestDb) -> TestApp {
        let provider = ScriptedProvider::start().await;
        let url = self.database_url.clone().unwrap_or_else(|| db.url.clone());
        if let Some(offer) = &self.offer {
            offer.apply(&url).await;
        }
        let mut config = config(&self.settings, provider.base_url());
        config.is_dev = !self.is_production;
        let moderator = self.moderator.unwrap_or_else(|| Arc::new(AllowsAll));
        let key =
            SigningKey { kid: "test".to_owned(), secret: "a signing key of the tests, long enough".into() };
        let app = App::start(&config, &[key], &url, Clock::default(), self.jobs, self.rates, moderator)
            .await
            .unwrap();
        // What the hour brings would come between the things that a test counts; tests of the timetable switch it on.
        super::rows::execute(&db.url, "UPDATE cron_entries SET is_enabled = false").await;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let running = Server::start(app.server(&config, Routes::All { graphiql: None }), listener).unwrap();
        let client = Client::anonymous(format!("http://{}", running.address));
        TestApp { client, provider, db, app, running: Some(running), is_closed: false }
    }
}

/// The configuration of a test: defaults, the scripted provider, and what the test adds.
pub fn config(settings: &str, provider: &str) -> Config {
    let text = format!("{settings}\n{}", provider_settings(provider));
    let sources = Sources {
        file: Some(ConfigFile { path: "test.toml".to_owned(), text }),
        env: environment(),
        flags: Flags { is_dev: true, ..Flags::default() },
        directories: Some(Directories { data: "/nonexistent".into(), cache: "/nonexistent".into() }),
    };
    match Config::load(sources) {
        Ok(config) => config,
        Err(faults) => panic!("{faults}"),
    }
}

/// Everything but hints, when a whole run goes without them: `TEST_NOTIFY=off`.
pub fn environment() -> BTreeMap<String, String> {
    let is_off = variable("TEST_NOTIFY").as_deref() == Some("off");
    is_off.then(|| ("LOQUENT_DATABASE__NOTIFY".to_owned(), "false".to_owned())).into_iter().collect()
}

/// The section of the scripted provider, for a configuration file.
pub fn provider_settings(base_url: &str) -> String {
    format!("[providers.scripted]\nbase_url = \"{base_url}\"\n")
}

/// The mutation that every test of answers sends.
pub const SEND: &str = "mutation Send($input: SendMessageInput!) {
    sendMessage(input: $input) {
        conversation { id title messageCount }
        userMessage { id text }
        assistantMessage {
            id status text streamSequence
            generation { id status isOutputCapped charge { creditsHeld creditsCharged } }
        }
        creditBalance { available held revision }
        userErrors { code message field ... on InsufficientCreditsError { required available } }
    }
}";

/// The subscription that every test of answers watches with.
pub const WATCH: &str = "subscription Watch($id: ID!, $after: Int) {
    messageStream(messageId: $id, after: $after) {
        __typename sequence messageId
        ... on MessageSnapshot { message { id status text streamSequence } }
        ... on TextDelta { partIndex text }
        ... on ReasoningDelta { partIndex text }
        ... on MessageFinished {
            finishReason creditBalance { available held revision }
            message { id status text streamSequence generation { charge { creditsCharged usage { inputTokens outputTokens source } } } }
        }
        ... on MessageFailed {
            error { code message } isRetryable creditBalance { available held revision }
            message { id status text streamSequence }
        }
    }
}";

impl Client {
    /// Sends a text to the scripted model in a new conversation; more of the input may be given.
    pub async fn send_text(&self, text: &str, more: Value) -> Value {
        let mut input = json!({ "parts": [{ "text": text }], "model": MODEL, "idempotencyKey": new_key() });
        for (name, value) in more.as_object().into_iter().flatten() {
            input[name] = value.clone();
        }
        self.gql(SEND, json!({ "input": input })).await.data()["sendMessage"].clone()
    }

    /// The caller's balance: available and held, as decimal texts.
    pub async fn balance(&self) -> (String, String) {
        let answer = self.gql("{ viewer { account { creditBalance { available held } } } }", json!({})).await;
        let balance = &answer.data()["viewer"]["account"]["creditBalance"];
        (balance["available"].as_str().unwrap().to_owned(), balance["held"].as_str().unwrap().to_owned())
    }

    /// Reads a message until it has ended.
    pub async fn wait_for_end(&self, message_id: &str) -> Value {
        let socket = super::ws::Socket::connect(self).await;
        let mut watch = socket.subscribe(WATCH, json!({ "id": message_id })).await;
        loop {
            match watch.next().await {
                super::ws::Event::Next(event) => {
                    let event = &event["data"]["messageStream"];
                    if ["MessageFinished", "MessageFailed"]
                        .contains(&event["__typename"].as_str().unwrap_or(""))
                    {
                        return event.clone();
                    }
                }
                other => panic!("the stream ended early: {other:?}"),
            }
        }
    }
}

/// A fresh idempotency key.
pub fn new_key() -> String {
    uuid::Uuid::now_v7().to_string()
}
