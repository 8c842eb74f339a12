//! The schema's migrations, embedded in the binary and applied at start. Replicas may all start at once: one session
//! lock, on the connection that migrates, lets one work and the others wait and find nothing left to do.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use diesel::{RunQueryDsl, migration::MigrationSource, pg::Pg};
use diesel_async::{AsyncPgConnection, async_connection_wrapper::AsyncConnectionWrapper};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::connect::connect;

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

/// What the database and the binary do not have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Names of migrations that the database lacks.
    pub pending: Vec<String>,
    /// Versions that the database has and this binary does not know: a newer one was here.
    pub unknown: Vec<String>,
}

/// Compares the database with the binary without the lock, and changes nothing at all.
pub async fn compare(conn: &mut AsyncPgConnection) -> diesel::QueryResult<Differences> {
    #[derive(diesel::QueryableByName)]
    struct Applied {
        #[diesel(sql_type = diesel::sql_types::Text)]
        version: String,
    }
    let query =
        diesel::sql_query("SELECT version::text AS version FROM __diesel_schema_migrations ORDER BY 1");
    let applied = match diesel_async::RunQueryDsl::load::<Applied>(query, conn).await {
        Ok(rows) => rows.into_iter().map(|row| row.version).collect(),
        // An empty database does not even have the list.
        Err(diesel::result::Error::DatabaseError(_, info)) if info.message().contains("does not exist") => {
            Vec::new()
        }
        Err(error) => return Err(error),
    };
    let migrations =
        MigrationSource::<Pg>::migrations(&MIGRATIONS).map_err(diesel::result::Error::QueryBuilderError)?;
    let mut known: Vec<_> = migrations
        .iter()
        .map(|migration| (migration.name().version().to_string(), migration.name().to_string()))
        .collect();
    known.sort();
    let unknown =
        applied.iter().filter(|version| !known.iter().any(|(known, _)| known == *version)).cloned().collect();
    known.retain(|(version, _)| !applied.contains(version));
    Ok(Differences { pending: known.into_iter().map(|(_, name)| name).collect(), unknown })
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
    let conn = connect(url).await.context("cannot connect to the database to migrate it")?;
    let work = move || {
        let mut conn = Migrator::from(conn);
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
