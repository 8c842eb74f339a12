//! A database for one test, copied from a template that is migrated once for every set of migrations, with the offer of
//! the tests.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use diesel::{
    QueryResult, QueryableByName,
    result::{DatabaseErrorKind, Error as DieselError},
    sql_types::Text,
};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use loquent::platform::postgres::migrate;
use tokio::sync::{OnceCell, Semaphore};
use uuid::Uuid;

use super::{
    catalog::{self, Offer},
    cluster::{Server, variable},
    processes::is_alive,
};

/// Everything that tests create on a server begins so.
const TEMPLATE_PREFIX: &str = "loquent_template_";
const DATABASE_PREFIX: &str = "loquent_test_";

/// Key of the lock under which a template is made; the server may be shared with other machines.
const TEMPLATE_LOCK: i64 = 0x6c6f_7175_7465_7374;

/// Copies at once of a process; more only make each of them slower.
static COPIES: Semaphore = Semaphore::const_new(4);

/// A migrated database with nothing but the offer of the tests, which nobody else uses. It is dropped with the value, also when the test panics;
/// `TEST_KEEP_DB=1` keeps it and prints its address.
#[derive(Debug)]
pub struct TestDb {
    pub url: String,
    pub name: String,
    maintenance_url: String,
    is_dropped: bool,
}

impl TestDb {
    /// A test without its database has failed, so this panics with the reason.
    pub async fn create() -> Self {
        match Self::try_create(&template_name()).await {
            Ok(db) => db,
            Err(error) => panic!("{error:#}"),
        }
    }

    /// Like [`TestDb::create`], without a table in it.
    pub async fn create_empty() -> Self {
        match Self::try_create("template0").await {
            Ok(db) => db,
            Err(error) => panic!("{error:#}"),
        }
    }

    /// Another database with the same content. Nobody may be connected to this one.
    pub async fn copy(&self) -> Self {
        match Self::try_create(&self.name).await {
            Ok(db) => db,
            Err(error) => panic!("{error:#}"),
        }
    }

    async fn try_create(template: &str) -> Result<Self> {
        let server = prepared_server().await?;
        let name = format!("{DATABASE_PREFIX}{}_{}", std::process::id(), Uuid::now_v7().simple());
        let copying = COPIES.acquire().await?;
        let mut conn = connect(server.maintenance_url()).await?;
        // Copying the files forces a checkpoint, which is cheap exactly when nothing is synced.
        let strategy = if server.is_private() { "STRATEGY FILE_COPY" } else { "" };
        run(&mut conn, &format!("CREATE DATABASE {name} TEMPLATE {template} {strategy}"))
            .await
            .map_err(explain)?;
        drop(copying);
        let maintenance_url = server.maintenance_url().to_owned();
        Ok(Self { url: server.url(&name), name, maintenance_url, is_dropped: false })
    }

    /// Drops the database, with the connections that are left to it.
    pub async fn close(mut self) {
        self.is_dropped = true;
        drop_database(&self.maintenance_url, &self.name, &self.url).await;
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        if self.is_dropped {
            return;
        }
        // The runtime of the test may be on its way out, so the work has its own.
        let (maintenance_url, name, url) =
            (self.maintenance_url.clone(), self.name.clone(), self.url.clone());
        let work = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(drop_database(&maintenance_url, &name, &url)),
                Err(error) => eprintln!("database {name} is left over: {error}"),
            }
        });
        let _ = work.join();
    }
}

async fn drop_database(maintenance_url: &str, name: &str, url: &str) {
    if variable("TEST_KEEP_DB").is_some_and(|value| value == "1") {
        eprintln!("TEST_KEEP_DB=1 keeps {url}");
        return;
    }
    let work = async {
        let mut conn = connect(maintenance_url).await?;
        run(&mut conn, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        anyhow::Ok(())
    };
    match tokio::time::timeout(Duration::from_secs(20), work).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => eprintln!("database {name} is left over: {error:#}"),
        Err(_) => eprintln!("database {name} is left over: the server does not answer"),
    }
}

/// The server, tidied up and with its template, once a process.
async fn prepared_server() -> Result<&'static Server> {
    static PREPARED: OnceCell<()> = OnceCell::const_new();
    let server = Server::join().await?;
    PREPARED.get_or_try_init(|| prepare(server)).await?;
    Ok(server)
}

async fn prepare(server: &Server) -> Result<()> {
    let mut conn = connect(server.maintenance_url()).await?;
    // Released with the connection, so a process that dies here blocks nobody.
    run(&mut conn, &format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})")).await?;
    let databases = list_databases(&mut conn).await?;
    let template = template_name();
    if server.is_private() {
        // Pids of other machines mean nothing here, and other checkouts have templates of their own.
        for name in databases.iter().filter(|name| is_abandoned(name) || is_outdated(name, &template)) {
            run(&mut conn, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        }
    }
    if !databases.contains(&template) {
        build_template(server, &mut conn, &template).await?;
    }
    Ok(())
}

/// Migrates under another name first, so that a crash cannot leave half a template under the final one.
async fn build_template(server: &Server, conn: &mut AsyncPgConnection, template: &str) -> Result<()> {
    let unfinished = format!("{template}_unfinished");
    run(conn, &format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)")).await.map_err(explain)?;
    run(conn, &format!("CREATE DATABASE {unfinished} TEMPLATE template0")).await.map_err(explain)?;
    migrate::up(&server.url(&unfinished)).await?;
    Offer::default().apply(&server.url(&unfinished)).await;
    // The session of the migrations leaves a moment after its connection is closed.
    for _ in 0..200 {
        match run(conn, &format!("ALTER DATABASE {unfinished} RENAME TO {template}")).await {
            Err(DieselError::DatabaseError(_, info)) if info.message().contains("being accessed") => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => return Err(error).context("cannot name the template"),
            Ok(_) => return Ok(()),
        }
    }
    bail!("somebody stays connected to {unfinished}")
}

fn template_name() -> String {
    let migrations = migrate::fingerprint();
    format!("{TEMPLATE_PREFIX}{}_{}", migrations.get(..16).unwrap_or(&migrations), catalog::fingerprint())
}

/// A database of a process that is gone, after a crash or a kill. Nobody has one of our own pid before we begin.
fn is_abandoned(name: &str) -> bool {
    let pid = name.strip_prefix(DATABASE_PREFIX).and_then(|rest| rest.split('_').next()?.parse::<i32>().ok());
    pid.is_some_and(|pid| u32::try_from(pid) == Ok(std::process::id()) || !is_alive(pid))
}

fn is_outdated(name: &str, template: &str) -> bool {
    name.starts_with(TEMPLATE_PREFIX) && name != template
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

async fn list_databases(conn: &mut AsyncPgConnection) -> Result<Vec<String>> {
    let rows = diesel::sql_query("SELECT datname::text AS name FROM pg_database").load::<Name>(conn).await?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

async fn connect(url: &str) -> Result<AsyncPgConnection> {
    AsyncPgConnection::establish(url).await.context("cannot connect to the server of the tests")
}

async fn run(conn: &mut AsyncPgConnection, sql: &str) -> QueryResult<usize> {
    diesel::sql_query(sql).execute(conn).await
}

fn explain(error: DieselError) -> anyhow::Error {
    match &error {
        DieselError::DatabaseError(DatabaseErrorKind::Unknown, info)
            if info.message().contains("permission denied") =>
        {
            anyhow::anyhow!("the user of TEST_DATABASE_URL may not create databases: give it CREATEDB")
        }
        _ => error.into(),
    }
}
