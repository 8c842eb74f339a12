//! The schema's migrations, embedded in the binary and applied at start. Replicas may all start at once: one session
//! lock, on the connection that migrates, lets one work and the others wait and find nothing left to do.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use diesel::{Connection, RunQueryDsl, migration::MigrationSource, pg::Pg};
use diesel_async::{AsyncPgConnection, async_connection_wrapper::AsyncConnectionWrapper};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Key of the advisory lock; the bytes of "loquent".
const LOCK: i64 = 0x006c_6f71_7565_6e74;

/// Longest wait for another replica that migrates.
const LOCK_LIMIT: Duration = Duration::from_secs(600);

/// A synchronous face of the asynchronous connection, for the library of migrations. It is used on a thread for
/// blocking work only.
type Migrator = AsyncConnectionWrapper<AsyncPgConnection>;

/// Which migrations a database has and lacks, by name and in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub applied: Vec<String>,
    pub pending: Vec<String>,
}

/// Applies what is missing, each migration in a transaction of its own, and returns the names. It runs to its end even
/// if the caller stops waiting.
pub async fn up(url: &str) -> Result<Vec<String>> {
    locked(url, |conn| {
        let pending = conn.pending_migrations(MIGRATIONS).map_err(|error| anyhow!(error))?;
        let mut applied = Vec::new();
        for migration in pending {
            let name = migration.name().to_string();
            conn.run_migration(&*migration).map_err(|error| anyhow!("migration {name}: {error}"))?;
            applied.push(name);
        }
        Ok(applied)
    })
    .await
}

/// Compares the database with the binary; changes nothing but the table that lists migrations, which it may create.
pub async fn status(url: &str) -> Result<Status> {
    locked(url, |conn| {
        let pending = conn.pending_migrations(MIGRATIONS).map_err(|error| anyhow!(error))?;
        let pending: Vec<_> = pending.iter().map(|migration| migration.name().to_string()).collect();
        let mut applied = names()?;
        applied.retain(|name| !pending.contains(name));
        Ok(Status { applied, pending })
    })
    .await
}

/// Undoes every migration, the last one first, and returns how many. All data is lost; for tests.
pub async fn down_all(url: &str) -> Result<usize> {
    locked(url, |conn| {
        let undone = conn.revert_all_migrations(MIGRATIONS).map_err(|error| anyhow!(error))?;
        Ok(undone.len())
    })
    .await
}

/// Name of the schema that the embedded migrations make: another text in any of them is another name.
pub fn fingerprint() -> String {
    env!("LOQUENT_MIGRATIONS").to_owned()
}

fn names() -> Result<Vec<String>> {
    let migrations = MigrationSource::<Pg>::migrations(&MIGRATIONS).map_err(|error| anyhow!(error))?;
    let mut names: Vec<_> = migrations.iter().map(|migration| migration.name().to_string()).collect();
    names.sort();
    Ok(names)
}

/// Runs `work` on a connection that holds the lock. Closing the connection releases it, whatever happens.
async fn locked<T: Send + 'static>(
    url: &str,
    work: impl FnOnce(&mut Migrator) -> Result<T> + Send + 'static,
) -> Result<T> {
    let url = url.to_owned();
    let work = move || {
        // The address holds the password, so it is not in the message.
        let mut conn = Migrator::establish(&url).context("cannot connect to the database to migrate it")?;
        acquire(&mut conn).context("cannot take the lock of migrations: does another replica hold it?")?;
        work(&mut conn)
    };
    tokio::task::spawn_blocking(work).await?
}

fn acquire(conn: &mut Migrator) -> diesel::QueryResult<()> {
    diesel::sql_query(format!("SET lock_timeout = '{}s'", LOCK_LIMIT.as_secs())).execute(conn)?;
    diesel::sql_query("SELECT pg_advisory_lock($1)")
        .bind::<diesel::sql_types::BigInt, _>(LOCK)
        .execute(conn)?;
    // From here on the limit would be one for the locks of the migrations themselves.
    diesel::sql_query("RESET lock_timeout").execute(conn)?;
    Ok(())
}
