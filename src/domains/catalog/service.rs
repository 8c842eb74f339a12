//! The catalogue in memory: read at the start and after every change, asked by everybody.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};
use uuid::Uuid;

use super::{
    apply,
    content::Feature,
    file::Source,
    limits::{Ceilings, Rates},
    model::Model,
    plan::Plan,
    presets::Preset,
    repo,
    snapshot::{Snapshot, Stored},
};
use crate::{
    domains::settings::Settings,
    error::{AppError, Result},
    platform::{clock::Clock, postgres::Db},
    providers::echo::Echo,
};

/// Between two attempts to read what has changed.
const RETRY: Duration = Duration::from_millis(500);

/// The catalogue in force, as this process knows it; clones share it. Ask again for every decision instead of keeping
/// what was answered.
#[derive(Clone)]
pub struct Catalog {
    db: Db,
    clock: Clock,
    settings: Settings,
    /// Keys of the providers that this process can call.
    providers: Arc<BTreeSet<String>>,
    snapshot: watch::Sender<Arc<Snapshot>>,
}

impl Catalog {
    /// Reads the catalogue, with the preset `default` where none was ever applied. Models of other providers than these
    /// and the built-in one are not shown and cannot be called.
    pub async fn start(
        db: &Db,
        clock: &Clock,
        providers: impl IntoIterator<Item = String>,
        settings: Settings,
    ) -> Result<Self> {
        let preset = Preset::Default;
        let content = preset.content().map_err(AppError::internal)?;
        apply::ensure(db, clock, &Source::of_preset(preset), &content).await?;
        let providers: BTreeSet<String> = providers.into_iter().chain([Echo::KEY.to_owned()]).collect();
        let snapshot = read(db, clock, &providers).await?;
        let catalog = Self {
            db: db.clone(),
            clock: clock.clone(),
            settings,
            providers: Arc::new(providers),
            snapshot: watch::Sender::new(Arc::new(snapshot)),
        };
        catalog.settings.know_models(catalog.model_keys()).await?;
        catalog.warn();
        Ok(catalog)
    }

    /// Reads the catalogue again.
    pub async fn load(&self) -> Result<()> {
        let snapshot = read(&self.db, &self.clock, &self.providers).await?;
        self.snapshot.send_replace(Arc::new(snapshot));
        self.settings.know_models(self.model_keys()).await?;
        self.warn();
        Ok(())
    }

    /// Reads again after every change of the epoch, until it is dropped.
    pub async fn follow(self, mut epochs: watch::Receiver<i64>) {
        while epochs.changed().await.is_ok() {
            while let Err(error) = self.load().await {
                tracing::warn!(
                    error = error.chain(),
                    "the changed catalogue could not be read; trying again"
                );
                sleep(RETRY).await;
            }
        }
    }

    /// Plan of every new account.
    pub fn default_plan(&self) -> Arc<Plan> {
        self.current().default_plan.clone()
    }

    /// Any version of any plan.
    pub fn plan(&self, id: Uuid) -> Option<Arc<Plan>> {
        self.current().plans.iter().find(|plan| plan.id == id).cloned()
    }

    /// The version on offer.
    pub fn plan_by_key(&self, key: &str) -> Option<Arc<Plan>> {
        self.current().offered().find(|plan| plan.key == key).cloned()
    }

    /// Plans on offer, in the order of the catalogue.
    pub fn plans(&self) -> Vec<Arc<Plan>> {
        self.current().offered().cloned().collect()
    }

    /// All models that can be called here, by key, with the prices in force.
    pub fn models(&self) -> Vec<Arc<Model>> {
        self.current().models.clone()
    }

    /// The model of this key or alias, with the prices in force.
    pub fn find_model(&self, key: &str) -> Option<Arc<Model>> {
        self.current().models.iter().find(|model| model.is_named(key)).cloned()
    }

    /// Provider of a model that the catalogue has and this process cannot call.
    pub fn unserved_provider(&self, key: &str) -> Option<String> {
        let current = self.current();
        current.unserved.iter().find(|model| model.is_named(key)).map(|model| model.provider.clone())
    }

    /// By key.
    pub fn features(&self) -> Vec<Arc<Feature>> {
        self.current().features.clone()
    }

    /// Grows by one with every catalogue that is applied and changes something.
    pub fn version(&self) -> i64 {
        self.current().version
    }

    /// Bounds of every call and account.
    pub fn ceilings(&self) -> Ceilings {
        self.current().ceilings.clone()
    }

    /// How fast anybody may ask.
    pub fn rates(&self) -> Rates {
        self.current().rates
    }

    /// Cost points a minute of each member of an account with this plan.
    pub fn points_per_minute(&self, plan: &Plan) -> u32 {
        plan.content.points_per_minute.unwrap_or(self.rates().points_per_minute)
    }

    /// Model of those who name none, which an operator may change at any time.
    pub fn default_model(&self) -> String {
        let wanted = self.settings.current().default_model;
        let is_there = self.find_model(&wanted).is_some();
        if is_there { wanted } else { Echo::KEY.to_owned() }
    }

    fn model_keys(&self) -> Vec<String> {
        self.current().models.iter().map(|model| model.key.clone()).collect()
    }

    /// The newest reading, with the prices of now.
    fn current(&self) -> Arc<Snapshot> {
        let snapshot = self.snapshot.borrow().clone();
        let now = self.clock.now();
        if snapshot.next_price.is_none_or(|due| now < due) {
            return snapshot;
        }
        let renewed = Arc::new(snapshot.at(now));
        // A catalogue that was read meanwhile is newer.
        self.snapshot.send_if_modified(|known| {
            let is_same = Arc::ptr_eq(known, &snapshot);
            if is_same {
                known.clone_from(&renewed);
            }
            is_same
        });
        renewed
    }

    fn warn(&self) {
        let current = self.current();
        for model in &current.unserved {
            let (model, provider) = (model.key.as_str(), model.provider.as_str());
            tracing::info!(model, provider, "not shown here: its provider is not configured");
        }
        let wanted = self.settings.current().default_model;
        if self.find_model(&wanted).is_none() {
            tracing::warn!(model = wanted, "the default model is not served here; the built-in echo answers");
        }
    }
}

async fn read(db: &Db, clock: &Clock, providers: &BTreeSet<String>) -> Result<Snapshot> {
    let mut conn = db.conn().await?;
    let missing = || AppError::internal(anyhow::anyhow!("there is no catalogue"));
    // What this process believes to be now may be before what has just been written.
    let at = repo::read_now(&mut conn).await?.max(clock.now());
    let newest = repo::find_newest(&mut conn).await?.ok_or_else(missing)?;
    let plans = repo::list_plans(&mut conn).await?;
    let models = repo::list_models(&mut conn).await?;
    let prices = repo::list_prices(&mut conn).await?;
    Snapshot::new(&newest, plans, Stored { models, prices, providers: providers.clone() }, at)
}

/// Keys of the models that a process with these providers can call; for commands, which have no catalogue in memory.
pub async fn served_models(db: &Db, providers: &BTreeSet<String>) -> Result<Vec<String>> {
    let rows = repo::list_models(&mut *db.conn().await?).await?;
    let is_served = |provider: &String| provider == Echo::KEY || providers.contains(provider);
    let keys = rows.into_iter().filter(|row| is_served(&row.provider)).map(|row| row.key);
    let mut keys: Vec<String> = keys.collect();
    if !keys.iter().any(|key| key == Echo::KEY) {
        keys.push(Echo::KEY.to_owned());
    }
    Ok(keys)
}
