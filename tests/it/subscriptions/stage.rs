//! A catalogue, one account and a clock that the test moves.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel_async::SimpleAsyncConnection;
use loquent::{
    domains::{
        accounts::NewAccountEffect,
        catalog::{self, Catalog, Mode},
        settings::{BuiltIn, Settings},
        subscriptions::{InForce, Parts, Request, Subscriptions, When},
    },
    platform::{
        clock::Clock,
        postgres::{Db, pool::PoolSettings},
        tasks::Tasks,
    },
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    cron::world::World,
    support::rows::{connect, rows},
};

/// Plans of the tests; `mini` is that of everybody who joins.
pub const OFFER: &str = r#"
format = 1
default_plan = "mini"

[plans.mini]
name = "Mini"
credits = "10"
models = ["*"]

[plans.midi]
name = "Midi"
credits = "300"
rollover = "50%"
models = ["*"]

[plans.maxi]
name = "Maxi"
credits = "1000"
rollover = "unlimited"
models = ["*"]

[plans.words]
name = "Words"
credits = "unlimited"
models = ["*"]
[[plans.words.limits]]
meter = "tokens"
window = "period"
amount = 500
rollover = "100%"

[plans.berlin]
name = "Berlin"
credits = "10"
models = ["*"]
[[plans.berlin.limits]]
meter = "messages"
window = "period"
amount = 5
zone = "Europe/Berlin"
"#;

/// The use cases over a database, as a process has them.
pub struct House {
    pub pool: Db,
    pub clock: Clock,
    pub settings: Settings,
    pub catalog: Catalog,
    pub subscriptions: Subscriptions,
}

impl House {
    pub async fn open(url: &str, connections: usize) -> Self {
        let settings = PoolSettings { name: "test", size: connections, wait: Duration::from_secs(30) };
        let (pool, clock) = (Db::try_new(url, settings).unwrap(), Clock::default());
        let echo = BuiltIn { default_model: "echo".to_owned(), models: vec!["echo".to_owned()] };
        let settings = Settings::new(pool.clone(), echo);
        let catalog = Catalog::start(&pool, &clock, Vec::new(), settings.clone()).await.unwrap();
        let parts = Parts {
            db: pool.clone(),
            clock: clock.clone(),
            tasks: Tasks::default(),
            catalog: catalog.clone(),
        };
        Self { subscriptions: Subscriptions::new(parts), pool, clock, settings, catalog }
    }

    /// Takes a catalogue over.
    pub async fn offer(&self, toml: &str) {
        let content = catalog::read("test.toml", toml).unwrap();
        let source = catalog::Source { name: "test.toml".to_owned(), text: toml.to_owned() };
        catalog::apply(&self.pool, &self.clock, &source, &content, Mode::Apply).await.unwrap();
        self.catalog.load().await.unwrap();
    }

    pub fn plan(&self, key: &str) -> Uuid {
        self.catalog.plan_by_key(key).unwrap_or_else(|| panic!("no plan {key}")).id
    }
}

/// What somebody says who changes a plan.
pub fn request() -> Request {
    Request { reason: "as the test wishes".to_owned(), by: None }
}

pub struct Stage {
    pub world: World,
    pub house: House,
    pub account: Uuid,
}

impl Stage {
    /// A world with one account that joined at `now`.
    pub async fn begin(now: DateTime<Utc>) -> Self {
        let world = World::begin(now).await;
        let house = House::open(&world.db.url, 8).await;
        house.offer(OFFER).await;
        let mut stage = Self { world, house, account: Uuid::nil() };
        stage.set(now).await;
        stage.account = stage.join().await;
        stage
    }

    /// Moves the time of the database and of the house, which goes on and is a little ahead.
    pub async fn set(&mut self, now: DateTime<Utc>) {
        self.world.set(now).await;
        self.house.clock.advance(now + TimeDelta::milliseconds(2) - self.house.clock.now());
    }

    /// Another account.
    pub async fn join(&self) -> Uuid {
        let id = Uuid::now_v7();
        let mut conn = self.house.pool.conn().await.unwrap();
        let sql = format!(
            "INSERT INTO users (id, email, name, password_hash) VALUES ('{id}', '{id}@example.org', 'Ada', 'none');
             INSERT INTO accounts (id, kind, name) VALUES ('{id}', 'personal', 'Ada');
             INSERT INTO members (account_id, user_id, role) VALUES ('{id}', '{id}', 'owner')"
        );
        conn.batch_execute(&sql).await.unwrap();
        self.house.subscriptions.account_created_in_tx(&mut conn, id, id).await.unwrap();
        id
    }

    pub async fn look(&self) -> InForce {
        self.house.subscriptions.of_account(self.account, self.account).await.unwrap()
    }

    pub async fn change(&self, plan: &str, when: When) -> InForce {
        let plan = self.house.plan(plan);
        self.house.subscriptions.change_plan(self.account, plan, when, request()).await.unwrap()
    }

    pub async fn set_plan(&self, plan: &str, until: Option<DateTime<Utc>>) -> InForce {
        let plan = self.house.plan(plan);
        self.house.subscriptions.set_plan(self.account, plan, until, request()).await.unwrap()
    }

    /// Rows of a query, seen past the house.
    pub async fn rows(&self, query: &str) -> Vec<Value> {
        rows(&mut connect(&self.world.db.url).await, query).await
    }

    /// Ends the test: the books agree. The spending of these tests has no runs.
    pub async fn close(self) {
        let odd =
            self.rows("SELECT * FROM ledger_differences WHERE problem <> 'hold_without_generation'").await;
        assert_eq!(odd, Vec::<Value>::new(), "the books differ");
        self.house.pool.close();
        self.world.db.close().await;
    }
}
