//! The composition root: builds every handle, in the order of their dependencies, and takes them down again.

mod from_config;
mod offer;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    checks,
    config::{self, Config},
    domains::{
        accounts::{self, Accounts, Passwords, Tokens},
        catalog::Catalog,
        conversations::{self, ConversationWatch, Conversations},
        credits::{AccountWatch, Adjustments},
        generations::{GenerationWatch, Generations, MakeTitle, Parts, Titles, Watches},
        moderation::{Moderation, Moderator},
        settings::Settings,
        subscriptions::{self, Subscriptions},
    },
    graphql::{
        Api,
        extension::Rules,
        guard,
        rates::{Allowances, Numbers, Rates},
        schema_builder,
    },
    jobs::{JobHints, Registry as Jobs, Runner, cron::Scheduler},
    platform::{
        clock::Clock,
        metrics::{self, names},
        postgres::{
            Db,
            epochs::Scope,
            listen::{Channel, Hints},
            news::News,
            pool::PoolSettings,
            rate_limits::RateLimiter,
        },
        tasks::Tasks,
    },
    providers::registry::Registry,
    server::{self, Operators, Routes, Sample},
    upkeep,
};

pub use from_config::provider_settings;
use from_config::{admission, generation_settings, keys, providers, runner_settings, token_settings};
pub use offer::built_in_settings;

/// Everything that runs in one process.
pub struct App {
    pub api: Api,
    pub accounts: Accounts,
    pub generations: Generations,
    /// Wakes the runner after something was enqueued.
    pub job_hints: JobHints,
    runner: Runner,
    pub clock: Clock,
    pub tasks: Tasks,
    hints: Hints,
    providers: Registry,
    requests: Db,
    background: Db,
    /// Ends the stream log and the sweeper, after all runs.
    stop_log: CancellationToken,
}

impl App {
    /// Builds the app over a migrated database. `signing_keys` are those of the configuration, or the development key;
    /// `jobs` are kinds of jobs beside the product's own, `rates` replaces how much of the API a caller
    /// may use by the catalogue, and `moderator` judges what people send to models.
    pub async fn start(
        config: &Config,
        signing_keys: &[config::SigningKey],
        database_url: &str,
        clock: Clock,
        mut jobs: Jobs,
        rates: Option<Rates>,
        moderator: Arc<dyn Moderator>,
    ) -> anyhow::Result<Self> {
        metrics::install();
        let wait = Duration::from_millis(config.database.wait_ms);
        let requests = Db::try_new(
            database_url,
            PoolSettings { name: "requests", size: config.database.request_pool, wait },
        )?;
        let background = Db::try_new(
            database_url,
            PoolSettings { name: "background", size: config.database.background_pool, wait },
        )?;
        let tasks = Tasks::default();
        let stop_log = CancellationToken::new();
        let hints = match config.database.is_notifying {
            true => Hints::start(database_url, &tasks, stop_log.clone())?,
            false => Hints::off(),
        };
        // The catalogue tells the settings which models there are, and lets them read what is stored.
        let settings = Settings::new(requests.clone(), offer::built_in_settings(config, Vec::new()));
        let served = config.providers.keys().cloned();
        let catalog = Catalog::start(&requests, &clock, served, settings.clone()).await?;
        let subscriptions_over = |db: &Db| {
            let (clock, tasks, catalog) = (clock.clone(), tasks.clone(), catalog.clone());
            Subscriptions::new(subscriptions::Parts { db: db.clone(), clock, tasks, catalog })
        };
        let subscriptions = subscriptions_over(&requests);
        let limiter = RateLimiter::new(requests.clone(), tasks.clone(), config.is_dev);
        let offered = || Numbers::offered(catalog.clone(), subscriptions.clone());
        let numbers = rates.map_or_else(offered, Numbers::Fixed);
        let allowances = Allowances::new(limiter.clone(), numbers, clock.clone());
        let accounts = Accounts::new(accounts::Parts {
            db: requests.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
            hints: hints.clone(),
            settings: settings.clone(),
            tokens: Tokens::new(&keys(signing_keys), clock.clone(), token_settings(config)),
            passwords: Passwords::try_new()?,
            on_new_account: Arc::new(subscriptions.clone()),
            limiter: limiter.clone(),
        });
        let watches = Watches {
            accounts: AccountWatch::new(hints.clone()),
            conversations: ConversationWatch::new(hints.clone()),
            generations: GenerationWatch::new(hints.clone()),
        };
        let conversations = Conversations::new(conversations::Parts {
            db: requests.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
            catalog: catalog.clone(),
            subscriptions: subscriptions.clone(),
            account_watch: watches.accounts.clone(),
            watch: watches.conversations.clone(),
        });
        let providers = providers(config)?;
        let job_hints = JobHints::new(hints.clone());
        let parts = Parts {
            requests: requests.clone(),
            background: background.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
            catalog: catalog.clone(),
            subscriptions: subscriptions.clone(),
            moderation: Moderation::new(moderator),
            watches: watches.clone(),
            providers: Arc::new(providers.clone()),
            titles: Titles { settings: settings.clone(), hints: job_hints.clone() },
        };
        let generations = Generations::start(parts, generation_settings(config), stop_log.clone()).await?;
        jobs.register::<MakeTitle>(generations.clone())?;
        upkeep::register(&mut jobs, &background, &accounts, subscriptions_over(&background))?;
        let runner = Runner::start(
            background.clone(),
            &tasks,
            generations.replica(),
            jobs,
            job_hints.clone(),
            runner_settings(config),
            stop_log.clone(),
        );
        let scheduler = Scheduler::new(background.clone(), job_hints.clone(), upkeep::entries()?);
        scheduler.declare().await?;
        tasks.spawn(scheduler.run(tasks.draining().clone()));
        tasks.spawn(upkeep::observe(background.clone(), stop_log.clone()));
        let news = News::default();
        tasks.spawn_until(stop_log.clone(), settings.clone().follow(news.changes(Scope::Settings)));
        tasks.spawn_until(stop_log.clone(), catalog.clone().follow(news.changes(Scope::Catalog)));
        let looks = hints.subscribe(Channel::Control);
        let news = news.follow(background.clone(), looks, Arc::new(accounts.clone()));
        tasks.spawn_until(stop_log.clone(), news);
        tasks.spawn_until(stop_log.clone(), watches.accounts.clone().follow(background.clone()));
        tasks.spawn_until(stop_log.clone(), watches.conversations.follow(background.clone()));
        tasks.spawn_until(stop_log.clone(), watches.generations.follow(background.clone()));
        let adjustments = Adjustments::new(requests.clone(), clock.clone(), tasks.clone(), settings.clone());
        tasks.spawn(metrics::keep_up(stop_log.clone()));
        let schema = schema_builder()
            .extension(Rules { admission: Some(admission(config)), allowances: Some(allowances.clone()) })
            .data(accounts.clone())
            .data(catalog)
            .data(conversations)
            .data(generations.clone())
            .data(settings)
            .data(subscriptions)
            .data(watches.accounts)
            .data(adjustments)
            .finish();
        let api = Api {
            schema,
            accounts: accounts.clone(),
            guard_limits: guard::Limits { bytes: config.limits.document_bytes, ..guard::Limits::default() },
            allowances,
            db: requests.clone(),
        };
        Ok(Self {
            api,
            accounts,
            generations,
            job_hints,
            runner,
            clock,
            tasks,
            hints,
            providers,
            requests,
            background,
            stop_log,
        })
    }

    /// What the HTTP server is made of.
    pub fn server(&self, config: &Config, routes: Routes) -> server::State {
        server::State {
            api: self.api.clone(),
            tasks: self.tasks.clone(),
            clock: self.clock.clone(),
            settings: config.into(),
            checks: checks::all(
                self.pools(),
                self.generations.clone(),
                self.providers.clone(),
                self.hints.clone(),
            ),
            operators: Operators::new(config.is_dev, config.server.metrics_token.as_ref()),
            sample: self.sample(),
            routes,
        }
    }

    /// Measures the tasks, the pools and the lease.
    fn sample(&self) -> Sample {
        let (pools, generations, tasks) = (self.pools(), self.generations.clone(), self.tasks.clone());
        Arc::new(move || {
            #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
            names::TASKS.set([], tasks.running() as f64);
            pools.iter().for_each(Db::measure);
            names::LEASE_AGE.set([], generations.silence().as_secs_f64());
        })
    }

    fn pools(&self) -> [Db; 2] {
        [self.requests.clone(), self.background.clone()]
    }

    /// Lets running answers and jobs finish until `deadline`, ends the rest of the answers as interrupted, gives the rest of
    /// the jobs back, stores what is left to store, and closes the pools. The caller has closed the sockets before. True
    /// when nothing was left behind; a database that does not answer costs at most four seconds more.
    pub async fn stop(&self, deadline: Instant) -> bool {
        self.tasks.draining().cancel();
        if tokio::time::timeout_at(deadline, self.no_runs()).await.is_err() {
            tracing::warn!(
                answers = self.generations.running(),
                jobs = self.runner.running(),
                "time is over; what still runs is interrupted"
            );
        }
        self.tasks.stopping().cancel();
        let is_settled = tokio::time::timeout(Duration::from_secs(2), self.no_runs()).await.is_ok();
        self.stop_log.cancel();
        let is_done = self.tasks.wait(Duration::from_secs(2)).await;
        self.requests.close();
        self.background.close();
        is_settled && is_done
    }

    async fn no_runs(&self) {
        while self.generations.running() > 0 || self.runner.running() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
