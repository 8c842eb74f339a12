//! A server over the real schema, a database that is nowhere, and an extension of the engine that counts what
//! reaches it and plays what no field of ours does: operations named `Panics`, `Hangs`, `Waits`, `Ticks`, `Floods`,
//! `FailsBelow`, `FailsLater`.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_graphql::{
    PathSegment, Response, ServerError, ServerResult, Value, async_trait,
    extensions::{
        Extension, ExtensionContext, ExtensionFactory, NextExecute, NextPrepareRequest, NextSubscribe,
    },
};
use futures_util::{FutureExt, StreamExt, stream::BoxStream};
use loquent::{
    config::{Config, ConfigFile, Directories, Flags, Purpose, Sources},
    domains::{
        accounts::{self, Accounts, NewAccountEffect, Passwords, SigningKey, TokenSettings, Tokens},
        settings::{self, BuiltIn},
    },
    error::Result,
    graphql::{
        Api,
        admission::{Admission, Introspection},
        extension::Rules,
        guard,
        rates::{Allowances, Numbers},
        schema_builder,
        transport::Settings,
    },
    platform::{
        clock::Clock,
        postgres::{Db, listen::Hints, pool::PoolSettings, rate_limits::RateLimiter},
        tasks::Tasks,
    },
    server::{Check, Operators, Routes, Running, Server, State},
};
use tokio::{net::TcpListener, sync::Semaphore};
use uuid::Uuid;

use crate::{rates::plenty, support::client::Client};

/// What the extension has seen, and how tests steer it; clones share it.
#[derive(Clone)]
pub struct Probe {
    /// Requests that reached the engine.
    reached: Arc<AtomicU64>,
    /// Operations that were executed; each event of a subscription counts.
    executed: Arc<AtomicU64>,
    /// A permit lets one `Waits` go on.
    pub go: Arc<Semaphore>,
    /// A permit for each `Waits` that has begun.
    pub begun: Arc<Semaphore>,
    /// A permit for each `Waits` that went on to its end.
    pub done: Arc<Semaphore>,
    /// Events that `Floods` have made.
    floods: Arc<AtomicU64>,
}

impl Probe {
    fn new() -> Self {
        let empty = || Arc::new(Semaphore::new(0));
        Self {
            reached: Arc::default(),
            executed: Arc::default(),
            go: empty(),
            begun: empty(),
            done: empty(),
            floods: Arc::default(),
        }
    }

    pub fn floods(&self) -> u64 {
        self.floods.load(Ordering::Relaxed)
    }

    pub fn reached(&self) -> u64 {
        self.reached.load(Ordering::Relaxed)
    }

    pub fn executed(&self) -> u64 {
        self.executed.load(Ordering::Relaxed)
    }
}

/// Takes a permit for good, or fails after a while.
pub async fn take(permits: &Semaphore) {
    let permit = tokio::time::timeout(Duration::from_secs(20), permits.acquire()).await;
    permit.expect("a permit in time").unwrap().forget();
}

impl ExtensionFactory for Probe {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Visit { probe: self.clone(), name: Arc::default() })
    }
}

struct Visit {
    probe: Probe,
    name: Arc<Mutex<Option<String>>>,
}

#[async_trait::async_trait]
impl Extension for Visit {
    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        request: async_graphql::Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<async_graphql::Request> {
        self.probe.reached.fetch_add(1, Ordering::Relaxed);
        self.name.lock().unwrap().clone_from(&request.operation_name);
        next.run(ctx, request).await
    }

    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        self.probe.executed.fetch_add(1, Ordering::Relaxed);
        match name {
            Some("Panics") => panic!("an operation of a test"),
            Some("Hangs") => std::future::pending().await,
            Some("Waits") => {
                self.probe.begun.add_permits(1);
                take(&self.probe.go).await;
                self.probe.done.add_permits(1);
                next.run(ctx, name).await
            }
            _ => next.run(ctx, name).await,
        }
    }

    fn subscribe<'s>(
        &self,
        ctx: &ExtensionContext<'_>,
        stream: BoxStream<'s, Response>,
        next: NextSubscribe<'_>,
    ) -> BoxStream<'s, Response> {
        let (mut stream, name, probe) = (next.run(ctx, stream), self.name.clone(), self.probe.clone());
        async_stream::stream! {
            // For somebody who may, the field itself panics: there is no domain behind it.
            let first = AssertUnwindSafe(stream.next()).catch_unwind().await.ok().flatten();
            let name = name.lock().unwrap().clone();
            match name.as_deref() {
                Some("Ticks") => for n in 1..=3 { yield Response::new(Value::from(n)) },
                Some("TicksWhenTold") => loop {
                    take(&probe.go).await;
                    yield Response::new(Value::from("tick"));
                },
                Some("Floods") => loop {
                    probe.floods.fetch_add(1, Ordering::Relaxed);
                    yield Response::new(Value::from("x".repeat(10_000)));
                },
                Some("FailsBelow") => {
                    let mut error = ServerError::new("A field below the root failed.", None);
                    error.path = ["messageStream", "event"].map(|name| PathSegment::Field(name.into())).into();
                    yield Response::from_errors(vec![error]);
                    yield Response::new(Value::from(1));
                }
                Some("FailsLater") => {
                    yield Response::new(Value::from(1));
                    panic!("a subscription of a test")
                }
                _ => if let Some(first) = first { yield first },
            }
            while let Some(response) = stream.next().await {
                yield response;
            }
        }
        .boxed()
    }
}

/// Nobody joins a database that is nowhere.
struct NoEffect;

#[async_trait::async_trait]
impl NewAccountEffect for NoEffect {
    async fn account_created_in_tx(
        &self,
        _: &mut diesel_async::AsyncPgConnection,
        _: Uuid,
        _: Uuid,
    ) -> Result<()> {
        Ok(())
    }
}

/// A running server of a test.
pub struct Site {
    pub running: Running,
    pub client: Client,
    pub probe: Probe,
    pub clock: Clock,
    pub tasks: Tasks,
    tokens: Tokens,
}

impl Site {
    /// Starts with the usual settings.
    pub async fn start() -> Self {
        Self::start_with(|_| {}, Vec::new()).await
    }

    /// Starts with some settings changed.
    pub async fn start_with(change: impl FnOnce(&mut Settings), checks: Vec<Check>) -> Self {
        Self::start_on("postgres://nobody@127.0.0.1:1/nowhere", change, checks).await
    }

    /// Starts over a database that is somewhere.
    pub async fn start_on(url: &str, change: impl FnOnce(&mut Settings), checks: Vec<Check>) -> Self {
        let (clock, tasks, probe) = (Clock::default(), Tasks::default(), Probe::new());
        let hour = Duration::from_secs(3600);
        let lifetimes = TokenSettings { access: hour, refresh: hour, session: hour * 24, grace: hour };
        let key =
            SigningKey { kid: "test".into(), secret: "0123456789abcdef0123456789abcdef".to_owned().into() };
        let tokens = Tokens::new(&[key], clock.clone(), lifetimes);
        let db =
            Db::try_new(url, PoolSettings { name: "test", size: 2, wait: Duration::from_secs(2) }).unwrap();
        let echo = "echo".to_owned();
        let settings =
            settings::Settings::new(db.clone(), BuiltIn { default_model: echo.clone(), models: vec![echo] });
        let limiter = RateLimiter::new(db.clone(), tasks.clone(), true);
        let allowances = Allowances::new(limiter.clone(), Numbers::Fixed(plenty()), clock.clone());
        let accounts = Accounts::new(accounts::Parts {
            db: db.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
            hints: Hints::off(),
            settings,
            tokens: tokens.clone(),
            passwords: Passwords::try_new().unwrap(),
            on_new_account: Arc::new(NoEffect),
            limiter: limiter.clone(),
        });
        let admission = Admission { introspection: Introspection::Public, operation_cost: 2_000 };
        // Without the limit of the engine's own: the guard alone protects.
        let builder = schema_builder().limit_recursive_depth(usize::MAX);
        let rules = Rules { admission: Some(admission), allowances: Some(allowances.clone()) };
        let schema = builder.extension(rules).extension(probe.clone()).data(accounts.clone()).finish();
        let api = Api { schema, accounts, guard_limits: guard::Limits::default(), allowances, db };
        let mut settings = usual_settings();
        change(&mut settings);
        let state = State {
            operators: Operators::Everybody,
            sample: Arc::new(|| {}),
            api,
            tasks: tasks.clone(),
            clock: clock.clone(),
            settings,
            checks,
            routes: Routes::All { graphiql: Some(loquent::graphql::graphiql::Settings::default()) },
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let running = Server::start(state, listener).unwrap();
        let client = Client::anonymous(format!("http://{}", running.address));
        Self { running, client, probe, clock, tasks, tokens }
    }

    /// An access token of a session that the database, being nowhere, cannot confirm.
    pub fn token(&self) -> String {
        let end = self.clock.now() + Duration::from_secs(24 * 3600);
        self.tokens.sign(Uuid::from_u128(1), Uuid::from_u128(2), end).unwrap().0
    }
}

/// What a configuration file without a word gives.
fn usual_settings() -> Settings {
    configured(false, "")
}

/// What a configuration file gives, under `--dev` or not.
pub fn configured(is_dev: bool, file: &str) -> Settings {
    let config = Config::load(Sources {
        file: Some(ConfigFile { path: "loquent.toml".into(), text: file.into() }),
        flags: Flags { is_dev, purpose: Purpose::Maintain, ..Flags::default() },
        directories: Some(Directories { data: "/data".into(), cache: "/cache".into() }),
        ..Sources::default()
    });
    (&config.unwrap()).into()
}
