//! A running cluster: made by `initdb` if there is none, started, watched and stopped. The process that holds a
//! [`Cluster`] is its only owner.

use std::{ffi::OsString, fmt::Write as _, fs, path::Path, time::Duration};

use diesel::{OptionalExtension, QueryableByName, sql_types};
use diesel_async::RunQueryDsl;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{sync::Mutex, time::Instant};

use super::{
    Profile,
    account::{Account, create_private},
    child::{Guarded, Launch, Watch},
    error::StartError,
    find::{Origin, Programs, Version},
    initdb,
    layout::{Layout, OwnerLock},
    stale,
};
use crate::platform::postgres::connect::connect;

/// Name of the database user, who owns everything.
pub(super) const USER: &str = "loquent";

/// Recovery after a crash reads the whole data directory, which can take a while on a busy disk.
const READY_LIMIT: Duration = Duration::from_secs(60);
const READY_POLL: Duration = Duration::from_millis(5);
/// The last processes of a killed server may hold its shared memory for a moment.
const SHARED_MEMORY_LIMIT: Duration = Duration::from_secs(15);
const SHARED_MEMORY_POLL: Duration = Duration::from_millis(250);
/// Patience with a fast shutdown, then with an immediate one.
const FAST_STOP_LIMIT: Duration = Duration::from_secs(10);
const IMMEDIATE_STOP_LIMIT: Duration = Duration::from_secs(10);

/// A PostgreSQL server that this process started and owns. [`Cluster::stop`] ends it; if the value is dropped, or
/// this process dies in any way, its watchdog shuts it down a moment later.
#[derive(Debug)]
pub struct Cluster {
    layout: Layout,
    programs: Programs,
    is_new: bool,
    /// Where in the log this run begins.
    log_start: u64,
    server: Mutex<Guarded>,
    /// Held until the server has ended.
    _lock: OwnerLock,
}

impl Cluster {
    pub(super) async fn start(
        home: &Path,
        programs: Programs,
        account: Option<&Account>,
        profile: Profile,
    ) -> Result<Self, StartError> {
        let layout = Layout::new(home, programs.version.major);
        let lock = layout.acquire().await?;
        let is_new = !layout.is_initialised();
        if is_new {
            initdb::run(&layout, &programs, account, profile).await?;
        } else {
            stale::settle(&layout).await?;
        }
        create_private(&layout.sockets, account)?;
        let (server, log_start) = launch(&layout, &programs, account, profile).await?;
        Ok(Self { layout, programs, is_new, log_start, server: Mutex::new(server), _lock: lock })
    }

    /// Address of a database of this cluster, for libraries of PostgreSQL and for `psql`. The host is the directory of
    /// the socket, so the address only works on this machine.
    pub fn url(&self, database: &str) -> String {
        address(&self.layout.sockets, database)
    }

    /// Where the programs come from.
    pub fn origin(&self) -> Origin {
        self.programs.origin
    }

    pub fn version(&self) -> &Version {
        &self.programs.version
    }

    /// Directory with the data, for example `/var/lib/loquent/pg15`.
    pub fn data_dir(&self) -> &Path {
        &self.layout.data
    }

    /// Directory with the server programs.
    pub fn bin_dir(&self) -> &Path {
        &self.programs.bin_dir
    }

    /// True when this start made the cluster.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// A command line for a look into the database.
    pub fn psql_hint(&self) -> String {
        format!("psql {}", self.url(USER))
    }

    /// Creates the database unless it is there. Names are lower case letters, digits and `_`.
    pub async fn ensure_database(&self, name: &str) -> anyhow::Result<()> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        anyhow::ensure!(!name.is_empty() && name.chars().all(is_plain), "{name:?} is no name for a database");
        let mut conn = connect(&self.url("postgres")).await?;
        let row = diesel::sql_query("SELECT 1 AS one FROM pg_database WHERE datname = $1")
            .bind::<sql_types::Text, _>(name)
            .get_result::<One>(&mut conn)
            .await
            .optional()?;
        if row.is_none() {
            diesel::sql_query(format!("CREATE DATABASE \"{name}\"")).execute(&mut conn).await?;
        }
        Ok(())
    }

    /// Resolves when the server has ended without being asked to, with the last lines of its log. May be dropped and
    /// called again.
    pub async fn exited(&self) -> String {
        let mut server = self.server.lock().await;
        let reason = match server.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        format!("{reason}\n{}", self.layout.log_tail(self.log_start))
    }

    /// Stops the server and waits for its end: open transactions are rolled back, the data is written out. It takes
    /// 25 s at most.
    pub async fn stop(self) {
        let mut server = self.server.into_inner();
        for (signal, limit) in [(Signal::INT, FAST_STOP_LIMIT), (Signal::QUIT, IMMEDIATE_STOP_LIMIT)] {
            send(&server, signal);
            if tokio::time::timeout(limit, server.child.wait()).await.is_ok() {
                // Empty now, and made again by the next start; it may be outside of the data directory.
                let _ = fs::remove_dir(&self.layout.sockets);
                return server.dismiss().await;
            }
            tracing::warn!(signal = signal.as_raw(), "PostgreSQL does not stop");
        }
        if let Err(error) = server.child.kill().await {
            tracing::error!(%error, "PostgreSQL cannot be killed");
        }
        server.dismiss().await;
    }
}

/// Address of a database of the server with this directory of sockets.
pub(super) fn address(sockets: &Path, database: &str) -> String {
    format!("postgres://{USER}@{}/{}", percent_encode(sockets), percent_encode(Path::new(database)))
}

#[derive(QueryableByName)]
struct One {
    #[diesel(sql_type = sql_types::Integer)]
    #[diesel(column_name = one)]
    _one: i32,
}

/// Signals the server unless it has ended and was waited for, after which its pid may be anybody's.
fn send(server: &Guarded, signal: Signal) {
    if server.child.id().is_some()
        && let Some(pid) = Pid::from_raw(server.pid)
        && let Err(error) = kill_process(pid, signal)
    {
        tracing::warn!(%error, "PostgreSQL cannot be signalled");
    }
}

/// Starts the server and waits until it accepts connections. Returns where its part of the log begins.
async fn launch(
    layout: &Layout,
    programs: &Programs,
    account: Option<&Account>,
    profile: Profile,
) -> Result<(Guarded, u64), StartError> {
    let deadline = Instant::now() + SHARED_MEMORY_LIMIT;
    loop {
        let (log, log_start) = layout.open_log()?;
        let errors = log.try_clone().map_err(StartError::io("share the log"))?;
        let launch = Launch {
            program: &programs.path("postgres"),
            arguments: settings(layout, profile),
            dir: &layout.home,
            account,
            stdout: log.into(),
            stderr: errors.into(),
        };
        let mut server = Guarded::spawn(launch, Watch::Server { pid_file: &layout.pid_file() }).await?;
        let Err(reason) = wait_until_ready(layout, &mut server).await else { return Ok((server, log_start)) };
        server.dismiss().await;
        let log = layout.log_tail(log_start);
        if !log.contains("pre-existing shared memory block") || Instant::now() >= deadline {
            return Err(StartError::NotReady { reason, log_file: layout.log.clone(), log });
        }
        tokio::time::sleep(SHARED_MEMORY_POLL).await;
    }
}

/// The error is the reason, after the server has ended.
async fn wait_until_ready(layout: &Layout, server: &mut Guarded) -> Result<(), String> {
    let deadline = Instant::now() + READY_LIMIT;
    loop {
        if layout.pid_record().is_some_and(|record| record.pid == server.pid && record.is_ready) {
            return Ok(());
        }
        if let Ok(ended) = tokio::time::timeout(READY_POLL, server.child.wait()).await {
            let status = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            return Err(format!("ended while it started ({status})"));
        }
        if Instant::now() >= deadline {
            send(server, Signal::QUIT);
            if tokio::time::timeout(IMMEDIATE_STOP_LIMIT, server.child.wait()).await.is_err() {
                let _ = server.child.kill().await;
            }
            return Err(format!("was not ready after {} s", READY_LIMIT.as_secs()));
        }
    }
}

/// Command line of the server. It listens on the socket only; the directory of the socket is the access control.
fn settings(layout: &Layout, profile: Profile) -> Vec<OsString> {
    // Terse: the details of an error, such as the value that is not unique, would put people's data into the log.
    let common = [
        "listen_addresses=",
        "port=5432",
        "unix_socket_permissions=0700",
        "shared_buffers=64MB",
        "logging_collector=off",
        "log_destination=stderr",
        "log_error_verbosity=terse",
        "log_checkpoints=off",
        "timezone=UTC",
        "log_timezone=UTC",
    ];
    let own: &[&str] = match profile {
        Profile::Durable => &["max_connections=100", "fsync=on", "synchronous_commit=on"],
        Profile::Disposable => &[
            "max_connections=200",
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "autovacuum=off",
            "wal_level=minimal",
            "max_wal_senders=0",
            "max_wal_size=256MB",
        ],
    };
    let mut arguments: Vec<OsString> = vec!["-D".into(), layout.data.clone().into()];
    for setting in common.iter().chain(own) {
        arguments.extend(["-c".into(), setting.into()]);
    }
    let mut sockets = OsString::from("unix_socket_directories=");
    sockets.push(&layout.sockets);
    arguments.extend(["-c".into(), sockets]);
    arguments
}

/// Escapes everything but letters, digits and `-._~`, as the host and the path of an address need it.
fn percent_encode(path: &Path) -> String {
    let mut out = String::new();
    for &byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
