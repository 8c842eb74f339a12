//! The pools. Requests and background work have one each, so that neither can starve the other; who waits
//! longer than the limit gets `SERVICE_UNAVAILABLE`.

use std::time::Duration;

use deadpool::managed::TimeoutType;
use diesel_async::{
    AsyncConnection, AsyncPgConnection,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        deadpool::{Hook, HookError, Object, Pool, PoolError},
    },
};
use futures_util::{FutureExt, future::BoxFuture};

use super::connect::Target;
use crate::{
    error::{AppError, Result},
    platform::metrics::names,
};

/// A connection on loan; it returns when dropped.
pub type Conn = Object<AsyncPgConnection>;

/// Handle to one pool; clones share it.
#[derive(Clone)]
pub struct Db {
    name: &'static str,
    pool: Pool<AsyncPgConnection>,
}

/// Size of a pool and patience of its callers.
#[derive(Debug, Clone, Copy)]
pub struct PoolSettings {
    /// In metrics and in `/health`.
    pub name: &'static str,
    /// Connections at most.
    pub size: usize,
    /// Longest wait for one.
    pub wait: Duration,
}

/// Connections of a pool, and callers that wait for one.
#[derive(Debug, Clone, Copy)]
pub struct PoolUsage {
    pub max: usize,
    pub idle: usize,
    pub in_use: usize,
    pub waiting: usize,
}

impl Db {
    /// Opens no connection yet.
    ///
    /// # Errors
    /// Those of [`Target::parse`].
    pub fn try_new(url: &str, settings: PoolSettings) -> anyhow::Result<Self> {
        let target = Target::parse(url)?;
        let mut config = ManagerConfig::default();
        config.custom_setup = Box::new(move |_| {
            let target = target.clone();
            async move { target.connect().await }.boxed()
        });
        // Verifying would cost a round trip each loan; a broken connection shows in the first statement anyway.
        config.recycling_method = RecyclingMethod::Fast;
        let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(url, config);
        let pool = Pool::builder(manager)
            .max_size(settings.size)
            // The connection used last has its statements prepared; one that rests longest may rest on.
            .queue_mode(deadpool::managed::QueueMode::Lifo)
            .wait_timeout(Some(settings.wait))
            .create_timeout(Some(Duration::from_secs(5)))
            .recycle_timeout(Some(Duration::from_secs(2)))
            .runtime(deadpool::Runtime::Tokio1)
            .post_create(Hook::async_fn(|conn, _| {
                Box::pin(async move {
                    set_limits(conn).await.map_err(|error| HookError::message(error.to_string()))
                })
            }))
            .build()?;
        Ok(Self { name: settings.name, pool })
    }

    /// Lends a connection, waiting at most as long as the settings say.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE`, whose source is [`NoConnection`].
    pub async fn conn(&self) -> Result<Conn> {
        self.pool.get().await.map_err(|error| {
            let reason =
                if matches!(error, PoolError::Timeout(TimeoutType::Wait)) { "timeout" } else { "error" };
            names::POOL_FAILURES.add([self.name.into(), reason.into()], 1);
            AppError::unavailable(NoConnection::from(error))
        })
    }

    /// Runs `work` within `limit`, the wait for a connection included; for what goes on by itself and is repeated, such
    /// as a lease or an upkeep. When it is cut, its connection is closed: the answer that is still to come would be in
    /// the way of whoever borrows it next. A connection that has gone silent is seldom alone, so all that are idle are
    /// closed too, and the repeat makes a new one. What was cut may still take place.
    ///
    /// # Errors
    /// Those of `work` and of [`Self::conn`], and `SERVICE_UNAVAILABLE` when the time is over.
    pub async fn within<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T>,
    ) -> Result<T> {
        let attempt = async {
            let mut lent = ClosedOnDrop(None);
            let result = work(lent.0.insert(self.conn().await?)).await;
            drop(lent.0.take());
            result
        };
        tokio::time::timeout(limit, attempt).await.unwrap_or_else(|_| {
            self.pool.retain(|_, _| false);
            Err(AppError::unavailable(anyhow::anyhow!("the database has not answered within {limit:?}")))
        })
    }

    /// Runs `work` in a transaction. When the caller goes away in the midst of it, its connection is closed, so that
    /// what it has locked is free at once and not when somebody else borrows the connection.
    ///
    /// It is for all who may be cut: handlers of jobs, and rounds that have a limit. A request that writes does so in a
    /// task of its own, which nobody cuts; it uses `transaction` of a connection that it has anyway.
    ///
    /// # Errors
    /// Those of `work`, which undo it, of [`Self::conn`] and of the database.
    pub async fn transaction<T, E>(
        &self,
        work: impl for<'c> FnOnce(&'c mut AsyncPgConnection) -> BoxFuture<'c, Result<T, E>> + Send,
    ) -> Result<T, E>
    where
        T: Send,
        E: From<AppError> + From<diesel::result::Error> + Send,
    {
        let mut lent = ClosedOnDrop(None);
        let conn = lent.0.insert(self.conn().await?);
        let result = conn.transaction(async |conn| work(conn).await).await;
        // It has come to its end, so the connection can be used again; the pool looks whether it is whole.
        drop(lent.0.take());
        result
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How it is used at the moment.
    pub fn usage(&self) -> PoolUsage {
        let status = self.pool.status();
        let in_use = status.size.saturating_sub(status.available);
        PoolUsage { max: status.max_size, idle: status.available, in_use, waiting: status.waiting }
    }

    /// Sets the metrics of the pool.
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    pub fn measure(&self) {
        let PoolUsage { max, idle, in_use, waiting } = self.usage();
        names::POOL_CONNECTIONS.set([self.name.into(), "idle".into()], idle as f64);
        names::POOL_CONNECTIONS.set([self.name.into(), "in_use".into()], in_use as f64);
        names::POOL_MAX.set([self.name.into()], max as f64);
        names::POOL_WAITING.set([self.name.into()], waiting as f64);
    }

    /// Asks the database for an answer.
    pub async fn ping(&self) -> Result<()> {
        use diesel_async::SimpleAsyncConnection;
        Ok(self.conn().await?.batch_execute("SELECT 1").await?)
    }

    /// Ends all idle connections; those on loan end when they return.
    pub fn close(&self) {
        self.pool.close();
    }
}

/// A connection that is closed instead of going back to its pool.
struct ClosedOnDrop(Option<Conn>);

impl Drop for ClosedOnDrop {
    fn drop(&mut self) {
        if let Some(conn) = self.0.take() {
            drop(Object::take(conn));
        }
    }
}

/// No statement and no forgotten transaction holds a lock for long, and none is compiled: ours are short, while the
/// planner thinks the worst of a statement that steps through an index, and compiling a claim takes a thousand times as
/// long as running it.
async fn set_limits(conn: &mut AsyncPgConnection) -> diesel::QueryResult<()> {
    use diesel_async::SimpleAsyncConnection;
    const LIMITS: &str = "SET statement_timeout = '15s'; SET idle_in_transaction_session_timeout = '10s'; \
                          SET timezone = 'UTC'; SET jit = off";
    conn.batch_execute(LIMITS).await
}

/// Why there is no connection; the source of the failure of [`Db::conn`].
#[derive(Debug, thiserror::Error)]
#[error("no database connection: {words}")]
pub struct NoConnection {
    /// For operators: a few words of ours, without the address.
    pub reason: &'static str,
    /// Each layer repeats the words of the one below, so these are the innermost alone.
    words: String,
}

impl From<PoolError> for NoConnection {
    fn from(error: PoolError) -> Self {
        let (reason, words) = match &error {
            PoolError::Timeout(TimeoutType::Wait) => ("all connections are in use", error.to_string()),
            PoolError::Timeout(_) => ("no answer in time", error.to_string()),
            PoolError::Backend(error) => {
                let words = innermost(error);
                (reason_of(&words), words)
            }
            PoolError::Closed => ("the process is stopping", error.to_string()),
            other => ("no connection can be made", other.to_string()),
        };
        Self { reason, words }
    }
}

/// Tells apart what an operator would look for in different places.
fn reason_of(words: &str) -> &'static str {
    match words.to_lowercase() {
        words if words.contains("refused") => "connection refused",
        words if words.contains("fatal") || words.contains("db error") => "the server does not let us in",
        words if words.contains("timed out") => "no answer in time",
        words if words.contains("certificate") || words.contains("tls") => "no agreement about TLS",
        _ => "no connection can be made",
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}
