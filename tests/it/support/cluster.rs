//! The server of the tests: one private cluster a checkout, started by the first test process that needs it and stopped
//! a few seconds after the last. `TEST_DATABASE_URL` names another server instead; `DATABASE_URL` is never looked at.
//!
//! A *keeper*, a process of its own, owns the cluster. Every test process holds a shared lock on the file `clients` until
//! it ends, however it ends. The keeper stops the cluster once it gets that lock exclusively, and while it holds it
//! nobody can join. So there are no pids to track and no setup script, and `cargo test` and nextest are the same.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    process::Child,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use loquent::platform::postgres::embedded::{self, Cluster, Options, Profile, StartError};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use url::Url;

use super::role::Role;

/// Overrides the place of the cluster; for the tests of this machinery.
pub const DIR: &str = "LOQUENT_TEST_CLUSTER_DIR";

const SHARED_MEMORY: &str = "/dev/shm";
const SHARED_MEMORY_FREE: u64 = 1 << 30;
/// The keeper looks once a second and stops after this many looks without a client.
const IDLE_LOOKS: u32 = 3;
const LOOK: Duration = Duration::from_secs(1);
/// Covers a stop in progress, `initdb` and a download.
const JOIN_LIMIT: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(20);

/// The server that this process uses.
#[derive(Debug)]
pub struct Server {
    maintenance: Url,
    /// Held until the process ends; `None` on a server of somebody else.
    client: Option<File>,
}

impl Server {
    /// The server, joined on first use.
    pub async fn join() -> Result<&'static Self> {
        static SERVER: OnceCell<Server> = OnceCell::const_new();
        SERVER.get_or_try_init(Self::try_join).await
    }

    async fn try_join() -> Result<Self> {
        if let Some(url) = variable("TEST_DATABASE_URL") {
            let maintenance = Url::parse(&url).context("TEST_DATABASE_URL is no URL")?;
            return Ok(Self { maintenance, client: None });
        }
        tokio::task::spawn_blocking(|| Place::choose()?.join()).await?
    }

    /// True for the private cluster, false for the server of `TEST_DATABASE_URL`.
    pub fn is_private(&self) -> bool {
        self.client.is_some()
    }

    /// Address of a database on this server.
    pub fn url(&self, database: &str) -> String {
        let mut url = self.maintenance.clone();
        url.set_path(database);
        url.to_string()
    }

    /// Address of the database in which others are created; nothing in it is changed.
    pub fn maintenance_url(&self) -> &str {
        self.maintenance.as_str()
    }
}

/// The directory of a cluster and of the files by which processes agree about it.
struct Place {
    dir: PathBuf,
}

impl Place {
    fn choose() -> Result<Self> {
        if let Some(dir) = variable(DIR) {
            return Self::at(dir.into());
        }
        // Another choice of programs is another cluster.
        let key = format!("{}\n{:?}", env!("CARGO_MANIFEST_DIR"), variable("LOQUENT_PG_BIN"));
        let key: String = Sha256::digest(key).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let uid = rustix::process::geteuid().as_raw();
        let in_memory = Path::new(SHARED_MEMORY).join(format!("loquent-test-{uid}-{key}"));
        let has_room = |free: rustix::fs::StatVfs| free.f_bavail * free.f_frsize >= SHARED_MEMORY_FREE;
        if in_memory.is_dir() || rustix::fs::statvfs(SHARED_MEMORY).is_ok_and(has_room) {
            return Self::at(in_memory);
        }
        Self::at(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cluster-{key}")))
    }

    fn at(dir: PathBuf) -> Result<Self> {
        match fs::DirBuilder::new().mode(0o755).create(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error).context("no place to test");
            }
            _ => {}
        }
        let owner = fs::symlink_metadata(&dir)?.uid();
        ensure!(owner == rustix::process::geteuid().as_raw(), "{} is somebody else's", dir.display());
        Ok(Self { dir })
    }

    fn open(&self, name: &str) -> Result<File> {
        let path = self.dir.join(name);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        file.with_context(|| format!("cannot open {}", path.display()))
    }

    /// Blocks while another process joins or the keeper stops.
    fn join(&self) -> Result<Server> {
        let deadline = Instant::now() + JOIN_LIMIT;
        let client = self.open("clients")?;
        wait(deadline, "the cluster to stop", || is_taken(client.try_lock_shared()))?;
        let joining = self.open("joining")?;
        wait(deadline, "another process that starts the cluster", || is_taken(joining.try_lock()))?;
        let mut keeper = match self.has_keeper()? {
            true => None,
            false => Some(self.start_keeper()?),
        };
        let mut url = None;
        wait(deadline, "the cluster to start", || {
            url = fs::read_to_string(self.url_file()).ok();
            match &mut keeper {
                Some(keeper) if url.is_none() => self.require_running(keeper)?,
                _ => {}
            }
            Ok(url.is_some())
        })?;
        let maintenance = Url::parse(&url.unwrap_or_default()).context("the keeper wrote no URL")?;
        Ok(Server { maintenance, client: Some(client) })
    }

    /// Written by the keeper when the cluster is ready.
    fn url_file(&self) -> PathBuf {
        self.dir.join("url")
    }

    fn has_keeper(&self) -> Result<bool> {
        Ok(!is_taken(self.open("keeper")?.try_lock())?)
    }

    fn start_keeper(&self) -> Result<Child> {
        // One that was killed could not remove it.
        remove_file(&self.url_file())?;
        let log = File::create(self.dir.join("keeper.log"))?;
        let mut command = Role::Keeper.command();
        command.env(DIR, &self.dir).stdout(log.try_clone()?).stderr(log);
        command.spawn().context("cannot start the keeper of the cluster")
    }

    fn require_running(&self, keeper: &mut Child) -> Result<()> {
        if keeper.try_wait()?.is_some() {
            let log = fs::read_to_string(self.dir.join("keeper.log")).unwrap_or_default();
            bail!("there is no database for the tests:\n{log}");
        }
        Ok(())
    }

    fn options(&self) -> Options {
        Options {
            bin_dir: variable("LOQUENT_PG_BIN").map(PathBuf::from),
            search_path: variable("PATH").map(Into::into),
            data_dir: self.dir.clone(),
            cache_dir: Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgresql"),
            is_download_allowed: variable("LOQUENT_PG_DOWNLOAD").is_none_or(|value| value != "off"),
            registry: variable("LOQUENT_NPM_REGISTRY").or_else(|| variable("npm_config_registry")),
            profile: Profile::Disposable,
        }
    }

    /// Starts the cluster, if need be a new one: nothing in it is worth keeping.
    async fn start(&self) -> Result<Cluster> {
        let options = self.options();
        match embedded::start(&options).await {
            Err(error @ (StartError::WrongVersion { .. } | StartError::NotReady { .. })) => {
                eprintln!("starting afresh: {error}");
                for entry in fs::read_dir(&self.dir)?.flatten() {
                    if entry.file_name().as_encoded_bytes().starts_with(b"pg") && entry.path().is_dir() {
                        fs::remove_dir_all(entry.path())?;
                    }
                }
                Ok(embedded::start(&options).await?)
            }
            other => Ok(other?),
        }
    }

    /// Returns, holding the lock, when there has been no client for a while.
    async fn wait_until_idle(&self) -> Result<File> {
        let clients = self.open("clients")?;
        let mut idle_looks = 0;
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            idle_looks = if is_taken(clients.try_lock())? { idle_looks + 1 } else { 0 };
            if idle_looks > IDLE_LOOKS {
                return Ok(clients);
            }
            clients.unlock()?;
        }
    }
}

/// The whole life of a keeper.
pub async fn keep() -> Result<()> {
    let place = Place::at(variable(DIR).context("a keeper needs a place")?.into())?;
    let keeper = place.open("keeper")?;
    ensure!(is_taken(keeper.try_lock())?, "there is a keeper already");
    let cluster = place.start().await?;
    // Renamed, so that nobody reads half of it.
    let unfinished = place.dir.join("url.new");
    fs::write(&unfinished, cluster.url("postgres"))?;
    fs::rename(unfinished, place.url_file())?;
    let clients = tokio::select! {
        clients = place.wait_until_idle() => Some(clients?),
        log = cluster.exited() => {
            eprintln!("PostgreSQL ended: {log}");
            None
        }
    };
    remove_file(&place.url_file())?;
    cluster.stop().await;
    // In this order: who joins now finds no keeper.
    drop(keeper);
    drop(clients);
    Ok(())
}

/// True when the lock was free and is ours now.
fn is_taken(outcome: Result<(), TryLockError>) -> Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Blocks this thread until `condition` holds.
fn wait(deadline: Instant, what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    while !condition()? {
        ensure!(Instant::now() < deadline, "waited {} s for {what}", JOIN_LIMIT.as_secs());
        std::thread::sleep(POLL);
    }
    Ok(())
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the configuration is for the product, this is for its tests")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
