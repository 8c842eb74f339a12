//! Rate limits that are exact on any number of processes: how often something was done is a row of the database, and
//! its time decides.
//!
//! A process that asked for every request would cost a statement for each, so it takes permits in *blocks*. Invariants:
//!
//! - no window has more than its limit: permits of a block lapse after a second, and windows are longer by that second;
//! - a refusal is remembered until its time, so who goes on asking costs nothing;
//! - of one key there is one question at a time, for all who wait for it;
//! - what is remembered is bounded, and forgetting it costs a statement and nothing else;
//! - what is given back of a bucket costs no statement: it can be used again while its block is good, and goes back with
//!   the next question afterwards. It never makes a bucket more than full, and when a process ends it is lost.
//!
//! With the database away the answer is an error, at once for a second after the first one; callers say what it means.

mod limit;
mod memory;
mod reserved;
mod sql;

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex as SyncMutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::{sync::Mutex, time::Instant};

pub use limit::{Key, Limit, Outcome, Standing, whole_seconds};
use memory::{Grant, Memory, Wish};
pub use reserved::Reserved;

use super::Db;
use crate::{
    error::{AppError, Result},
    platform::{metrics::names, tasks::Tasks},
};

/// Keys that are remembered, the latest ones.
const MAX_KEYS: u64 = 100_000;

/// A block lives for a second, and a refusal that outlives this is asked for again.
const IDLE: Duration = Duration::from_secs(300);

/// Longest wait for an answer, that for a connection included.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long nobody asks after a question that was not answered.
const REST: Duration = Duration::from_secs(1);

/// Gives out permits; clones share what they know.
#[derive(Clone)]
pub struct RateLimiter {
    db: Db,
    tasks: Tasks,
    is_loopback_spared: bool,
    known: Cache<String, Arc<Known>>,
    rests_until: Arc<SyncMutex<Option<Instant>>>,
}

/// A key of this process.
#[derive(Debug)]
struct Known {
    /// Held while the database is asked.
    memory: Mutex<Memory>,
    /// What is wanted by all who wait for it.
    wanted: AtomicU32,
    /// Points that came back while the memory was held.
    back: AtomicU32,
}

impl RateLimiter {
    /// `is_loopback_spared` when the server is for the development on its own machine, where everything comes from one
    /// address and a limit would only be in the way.
    pub fn new(db: Db, tasks: Tasks, is_loopback_spared: bool) -> Self {
        let known = Cache::builder()
            .max_capacity(MAX_KEYS)
            .time_to_idle(IDLE)
            // A flood of new keys shall not keep the newest from being remembered.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { db, tasks, is_loopback_spared, known, rests_until: Arc::default() }
    }

    /// True for a client that no limit of its address or person is for.
    pub fn spares(&self, address: IpAddr) -> bool {
        self.is_loopback_spared && address.to_canonical().is_loopback()
    }

    /// Takes `cost` permits, or none. More than the whole limit counts as the whole limit.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when the database does not answer.
    pub async fn take(&self, key: &Key, limit: &Limit, cost: u32) -> Result<Outcome> {
        Ok(self.reserve(key, limit, cost).await?.outcome)
    }

    /// Takes like [`take`](Self::take), for who knows only afterwards how much was used.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when the database does not answer.
    pub async fn reserve(&self, key: &Key, limit: &Limit, cost: u32) -> Result<Reserved> {
        let cost = cost.clamp(1, limit.amount);
        let known = self.know(key);
        let wanted = Wanted::new(&known.wanted, cost);
        let mut memory = known.memory.lock().await;
        let now = Instant::now();
        memory.put_back(limit, None, known.back.swap(0, Ordering::Relaxed), now);
        let outcome = match memory.answer(limit, cost, now) {
            Some(outcome) => outcome,
            None => {
                let wish = memory.wish(limit, cost, wanted.by_all(), now);
                let grant = self.ask(key, limit, wish).await?;
                memory.learn(limit, wish, grant, now)
            }
        };
        if !outcome.is_admitted() {
            names::RATE_REFUSALS.add([key.limit.into()], 1);
        }
        let block = memory.block();
        drop((memory, wanted));
        Ok(Reserved { outcome, points: AtomicU32::new(cost), block, limit: *limit, known })
    }

    /// Gives points of a bucket back at once, by a statement, for what every process shall know of. A window forgets
    /// nothing, so there it does nothing; with the database away neither, and the bucket is full again in its time.
    pub async fn give_back(&self, key: &Key, limit: &Limit, points: u32) {
        let known = self.know(key);
        let mut memory = known.memory.lock().await;
        memory.forgive();
        if let Err(error) = self.ask(key, limit, Wish { back: points, least: 0, most: 0 }).await {
            tracing::debug!(%error, "points were not given back");
        }
    }

    fn know(&self, key: &Key) -> Arc<Known> {
        if let Some(known) = self.known.get(&key.text) {
            return known;
        }
        let unknown = || {
            let memory = Mutex::new(Memory::new(Instant::now()));
            Arc::new(Known { memory, wanted: AtomicU32::new(0), back: AtomicU32::new(0) })
        };
        self.known.get_with_by_ref(&key.text, unknown)
    }

    /// Asks in a task of its own, because a client that hangs up shall not cost its connection to the database.
    async fn ask(&self, key: &Key, limit: &Limit, wish: Wish) -> Result<Grant> {
        if self.rests() {
            return Err(AppError::unavailable(anyhow::anyhow!("rate limits cannot be read")));
        }
        let (db, asked, of) = (self.db.clone(), key.clone(), *limit);
        let question = async move {
            db.within(PATIENCE, async |conn| Ok(sql::ask(conn, &asked, &of, wish).await?)).await
        };
        self.tasks.run(question).await.inspect_err(|error| {
            tracing::warn!(error = %error.chain(), limit = key.limit, "a rate limit cannot be read");
            *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
        })
    }

    fn rests(&self) -> bool {
        let until = *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}

/// Removes rows that say nothing any more, so many at most.
pub async fn prune(conn: &mut AsyncPgConnection, limit: i64) -> QueryResult<usize> {
    sql::prune(conn, limit).await
}

/// What one who asks wants, until it is decided or nobody waits any more.
struct Wanted<'a> {
    all: &'a AtomicU32,
    cost: u32,
}

impl<'a> Wanted<'a> {
    fn new(all: &'a AtomicU32, cost: u32) -> Self {
        all.fetch_add(cost, Ordering::Relaxed);
        Self { all, cost }
    }

    fn by_all(&self) -> u32 {
        self.all.load(Ordering::Relaxed)
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.cost, Ordering::Relaxed);
    }
}
