//! Helper processes: the test executable started again with a role, so that nothing else has to be built or installed.

use std::{
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use super::cluster;
use crate::{cron::killed, embedded::owner, jobs::worker, subscriptions::helper};

const ROLE: &str = "LOQUENT_TEST_ROLE";

/// The roles, by their names in the environment.
#[derive(Debug, Clone, Copy)]
pub enum Role {
    /// Owns the shared cluster and stops it when its last client has ended.
    Keeper,
    /// Owns a durable cluster until its standard input ends.
    Owner,
    /// Has a test database until its standard input ends.
    Client,
    /// Runs the jobs of the tests until its standard input ends.
    Worker,
    /// Looks for what is due until its standard input ends.
    Scheduler,
    /// Brings accounts up to date when it is told to.
    Renewer,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Keeper => "keeper",
            Self::Owner => "owner",
            Self::Client => "client",
            Self::Worker => "worker",
            Self::Scheduler => "scheduler",
            Self::Renewer => "renewer",
        }
    }

    /// A command that plays this role, in a process group of its own so that what ends the runner does not end it.
    pub fn command(self) -> Command {
        let executable = std::env::current_exe().expect("a test knows its executable");
        let mut command = Command::new(executable);
        command
            .args([
                "--exact",
                "support::role::helper_processes_enter_here",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(ROLE, self.name())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

/// In an ordinary run there is no role, and nothing happens here.
#[tokio::test(flavor = "multi_thread")]
async fn helper_processes_enter_here() {
    match std::env::var_os(ROLE).as_deref().and_then(|role| role.to_str()) {
        None => {}
        Some("keeper") => cluster::keep().await.expect("the cluster is kept"),
        Some("owner") => owner::own().await,
        Some("worker") => worker::work().await,
        Some("renewer") => helper::renew().await,
        Some("scheduler") => killed::look_on().await,
        Some("client") => owner::use_a_test_database().await,
        Some(other) => panic!("there is no role {other}"),
    }
}
