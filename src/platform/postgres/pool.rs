//! The pools. Requests and background work have one each, so that neither can starve the other; who waits
//! longer than the limit gets `SERVICE_UNAVAILABLE`.

use std::time::Duration;

use diesel_async::{
    AsyncPgConnection,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        deadpool::{Hook, HookError, Object, Pool, PoolError},
    },
};

use crate::error::{AppError, Result};

/// A connection on loan; it returns when dropped.
pub type Conn = Object<AsyncPgConnection>;

/// Handle to one pool; clones share it.
#[derive(Clone)]
pub struct Db {
    pool: Pool<AsyncPgConnection>,
}

/// Size of a pool and patience of its callers.
#[derive(Debug, Clone, Copy)]
pub struct PoolSettings {
    /// Connections at most.
    pub size: usize,
    /// Longest wait for one.
    pub wait: Duration,
}

impl Db {
    /// Opens no connection yet.
    pub fn try_new(url: &str, settings: PoolSettings) -> anyhow::Result<Self> {
        let mut config = ManagerConfig::default();
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
        Ok(Self { pool })
    }

    /// Lends a connection, waiting at most as long as the settings say.
    pub async fn conn(&self) -> Result<Conn> {
        self.pool.get().await.map_err(unavailable)
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

/// No statement and no forgotten transaction holds a lock for long.
async fn set_limits(conn: &mut AsyncPgConnection) -> diesel::QueryResult<()> {
    use diesel_async::SimpleAsyncConnection;
    conn.batch_execute("SET statement_timeout = '15s'; SET idle_in_transaction_session_timeout = '10s'; SET timezone = 'UTC'")
        .await
}

fn unavailable(error: PoolError) -> AppError {
    AppError::unavailable(anyhow::Error::new(error).context("no database connection"))
}
