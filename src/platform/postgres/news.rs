//! What a process learns of the others: once a second, by one small statement, which caches are out of date and what has
//! been revoked. A hint only makes it sooner.
//!
//! - Epochs are compared with those of the last look, so none is missed however long a process could not look.
//! - Revocations are read from thirty seconds before the last look that succeeded, by the clock of the database: their
//!   transactions do not commit in the order of their times. What was read before is not said again.
//! - Who could not look for thirty seconds knows too little to let anybody stay, and says so once in that time.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::{QueryResult, QueryableByName, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    Db,
    epochs::Scope,
    listen::Looks,
    revocations::{Revocation, Subject},
    statement::statement,
};
use crate::{
    error::{AppError, Result},
    platform::{metrics::names, tasks::every},
};

const PACE: Duration = Duration::from_secs(1);
/// However many hints come, no more than so many looks.
const SHORTEST: Duration = Duration::from_millis(50);
/// A look that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(5);
/// Without a look for so long, nobody may be trusted.
const BLIND: Duration = Duration::from_secs(30);
/// Revocations that are said one by one; when there are more, everything is in doubt.
const MANY: usize = 5_000;

/// The epoch that no table has: of what has not been looked at.
const NEVER: i64 = -1;

/// Who believes in something that can be revoked.
#[async_trait]
pub trait OnRevocation: Send + Sync {
    /// What depends on the subject is good no more. May be said of what ended long ago.
    async fn revoked(&self, subject: Subject);
    /// More was revoked than can be said: ask again for everything.
    async fn doubted(&self);
    /// This process has not learned of revocations for half a minute: let nobody stay on trust.
    async fn lost_sight(&self);
}

/// The epochs as this process knows them; clones share them.
#[derive(Clone)]
pub struct News(Arc<[watch::Sender<i64>; Scope::ALL.len()]>);

impl Default for News {
    fn default() -> Self {
        Self(Arc::new(std::array::from_fn(|_| watch::Sender::new(NEVER))))
    }
}

impl News {
    /// Changes when what the scope is about may have changed, the first time soon after the start: what was read before
    /// the first look may have been out of date already.
    pub fn changes(&self, scope: Scope) -> watch::Receiver<i64> {
        self.0[scope as usize].subscribe()
    }

    /// Looks until it is dropped.
    pub async fn follow(self, db: Db, mut hints: Looks, believer: Arc<dyn OnRevocation>) {
        let mut ticks = every(PACE);
        let mut memory = Memory::default();
        let mut seen_at = Instant::now();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = hints.next() => {}
            }
            let begun = Instant::now();
            match look(&db, memory.last_look).await {
                Ok(seen) => {
                    names::NEWS_LOOKS.add(["ok".into()], 1);
                    seen_at = begun;
                    self.compare(&seen.epochs);
                    memory.tell(seen, &*believer).await;
                }
                Err(error) => {
                    names::NEWS_LOOKS.add(["failed".into()], 1);
                    tracing::debug!(error = error.chain(), "no news; looking again in a second");
                }
            }
            if seen_at.elapsed() >= BLIND {
                tracing::warn!("nothing is known of revocations for half a minute; nobody stays on trust");
                believer.lost_sight().await;
                seen_at = Instant::now();
            }
            sleep_until(begun + SHORTEST).await;
        }
    }

    fn compare(&self, epochs: &BTreeMap<String, i64>) {
        for (scope, known) in Scope::ALL.into_iter().zip(self.0.iter()) {
            // A scope without a row has never changed. The first look finds it changed all the same.
            let epoch = epochs.get(scope.name()).copied().unwrap_or_default();
            known.send_if_modified(|known| std::mem::replace(known, epoch) != epoch);
        }
    }
}

/// What a process remembers of revocations between two looks.
#[derive(Default)]
struct Memory {
    /// By the clock of the database.
    last_look: Option<DateTime<Utc>>,
    /// Those that the last look read, which the next reads again.
    told: HashSet<i64>,
}

impl Memory {
    async fn tell(&mut self, seen: Seen, believer: &dyn OnRevocation) {
        let is_cut = seen.revocations.len() >= MANY;
        let untold: Vec<_> = seen.revocations.iter().filter(|one| !self.told.contains(&one.id)).collect();
        if is_cut && !untold.is_empty() {
            believer.doubted().await;
        } else {
            for subject in untold.into_iter().filter_map(Revocation::subject) {
                believer.revoked(subject).await;
            }
        }
        self.told = seen.revocations.iter().map(|revocation| revocation.id).collect();
        self.last_look = Some(seen.at);
    }
}

/// What one look found.
struct Seen {
    at: DateTime<Utc>,
    epochs: BTreeMap<String, i64>,
    revocations: Vec<Revocation>,
}

async fn look(db: &Db, last_look: Option<DateTime<Utc>>) -> Result<Seen> {
    let row = db.within(LIMIT, async |conn| Ok(read(conn, last_look).await?)).await?;
    Ok(Seen {
        at: row.at,
        epochs: serde_json::from_value(row.epochs).map_err(AppError::internal)?,
        revocations: serde_json::from_value(row.revocations).map_err(AppError::internal)?,
    })
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = sql_types::Timestamptz)]
    at: DateTime<Utc>,
    #[diesel(sql_type = sql_types::Jsonb)]
    epochs: serde_json::Value,
    #[diesel(sql_type = sql_types::Jsonb)]
    revocations: serde_json::Value,
}

async fn read(conn: &mut AsyncPgConnection, last_look: Option<DateTime<Utc>>) -> QueryResult<Row> {
    // The time in a subquery of its own is asked for once, so that the index can be used.
    const SQL: &str = "\
        SELECT loquent_now() AS at, \
               (SELECT coalesce(jsonb_object_agg(scope, epoch), '{}') FROM cache_epochs) AS epochs, \
               (SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]') \
                  FROM (SELECT id, subject_kind, subject_id FROM revocations \
                         WHERE created_at > least(?, (SELECT loquent_now())) - interval '30 seconds' \
                         ORDER BY created_at DESC LIMIT ?) r \
               ) AS revocations";
    statement(SQL)
        .bind::<sql_types::Nullable<sql_types::Timestamptz>, _>(last_look)
        .bind::<sql_types::BigInt, _>(i64::try_from(MANY).unwrap_or(i64::MAX))
        .get_result(conn)
        .await
}
