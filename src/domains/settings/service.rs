//! Reading from memory, changing in the database.

use std::{sync::Arc, time::Duration};

use diesel_async::AsyncConnection;
use tokio::{sync::watch, time::sleep};

use super::{
    model::{BuiltIn, Definition, Setting, Snapshot, Values},
    repo,
};
use crate::{
    error::{AppError, ErrorCode, Result},
    platform::postgres::{
        Db,
        epochs::{self, Scope},
    },
};

/// Between two attempts to read what has changed.
const RETRY: Duration = Duration::from_millis(500);

/// The settings as this process knows them; clones share them.
#[derive(Clone)]
pub struct Settings {
    db: Db,
    built_in: watch::Sender<Arc<BuiltIn>>,
    snapshot: watch::Sender<Arc<Snapshot>>,
}

impl Settings {
    /// Nothing is read yet: all settings are as built in.
    pub fn new(db: Db, built_in: BuiltIn) -> Self {
        let (snapshot, _) = Snapshot::new(&[], &built_in);
        let built_in = watch::Sender::new(Arc::new(built_in));
        Self { db, built_in, snapshot: watch::Sender::new(Arc::new(snapshot)) }
    }

    /// Reads what is stored, and judges it by the models that there are from now on.
    pub async fn know_models(&self, models: Vec<String>) -> Result<()> {
        self.built_in.send_modify(|known| {
            *known = Arc::new(BuiltIn { models, ..BuiltIn::clone(known) });
        });
        self.load().await
    }

    /// Reads what is stored.
    pub async fn load(&self) -> Result<()> {
        let rows = repo::list(&mut *self.db.conn().await?).await?;
        let (snapshot, refused) = Snapshot::new(&rows, &self.built_in());
        for key in refused {
            tracing::warn!(setting = key, "the stored value cannot be used here; the built-in one is");
        }
        self.snapshot.send_replace(Arc::new(snapshot));
        Ok(())
    }

    /// Reads again after every change of the epoch, until it is dropped.
    pub async fn follow(self, mut epochs: watch::Receiver<i64>) {
        while epochs.changed().await.is_ok() {
            while let Err(error) = self.load().await {
                tracing::warn!(error = error.chain(), "changed settings could not be read; trying again");
                sleep(RETRY).await;
            }
        }
    }

    fn built_in(&self) -> Arc<BuiltIn> {
        self.built_in.borrow().clone()
    }

    /// All values as of now. Ask again for every decision instead of keeping them.
    pub fn current(&self) -> Values {
        self.snapshot.borrow().values.clone()
    }

    /// Every setting, by key.
    pub fn list(&self) -> Vec<Setting> {
        self.snapshot.borrow().all.clone()
    }

    /// Those that everybody may read, by key.
    pub fn list_public(&self) -> Vec<Setting> {
        self.list().into_iter().filter(|setting| setting.definition.is_public).collect()
    }

    /// Stores a value, given as JSON or as bare words; all processes have it within two seconds.
    pub async fn set(&self, key: &str, words: &str) -> Result<()> {
        let definition = find(key)?;
        let wrong = |why| AppError::invalid("value", why);
        let value = definition.parse(words, &self.built_in()).map_err(wrong)?;
        let mut conn = self.db.conn().await?;
        conn.transaction(async |conn| {
            repo::upsert(conn, definition.key, &value).await?;
            epochs::raise_in_tx(conn, Scope::Settings).await?;
            Ok::<_, AppError>(())
        })
        .await?;
        drop(conn);
        self.load().await
    }

    /// Goes back to the built-in value; all processes have it within two seconds.
    pub async fn reset(&self, key: &str) -> Result<()> {
        let definition = find(key)?;
        let mut conn = self.db.conn().await?;
        conn.transaction(async |conn| {
            repo::delete(conn, definition.key).await?;
            epochs::raise_in_tx(conn, Scope::Settings).await?;
            Ok::<_, AppError>(())
        })
        .await?;
        drop(conn);
        self.load().await
    }
}

fn find(key: &str) -> Result<&'static Definition> {
    let unknown = || AppError::new(ErrorCode::NotFound, format!("There is no setting {key:?}.")).at("key");
    Definition::find(key).ok_or_else(unknown)
}
