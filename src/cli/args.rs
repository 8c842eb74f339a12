//! The words of the command line. Parsing only: what they mean is decided by the commands.

mod catalog;
mod customers;
mod jobs;
#[cfg(test)]
mod tests;

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use url::Url;

use crate::config::{Flags, Purpose};
pub use catalog::{Catalog, Offer};
pub use customers::{Accounts, Credits, Role, Users};
pub use jobs::Jobs;

/// The GraphQL backend for AI products.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "loquent", version)]
pub struct Cli {
    /// Configuration file [default: loquent.toml, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

impl Cli {
    /// What to do; without a word it is `serve --dev`.
    pub fn command(&self) -> Command {
        let dev = Command::Serve(Serve { is_dev: true, ..Serve::default() });
        self.command.clone().unwrap_or(dev)
    }

    /// The part that the configuration takes.
    pub fn flags(&self) -> Flags {
        let file = self.config.clone();
        match self.command() {
            Command::Serve(serve) => Flags {
                purpose: Purpose::Serve,
                is_dev: serve.is_dev,
                host: serve.host,
                port: serve.port,
                file,
                is_remote_dev_allowed: serve.is_remote_dev_allowed,
            },
            Command::Runner(runner) => Flags {
                purpose: Purpose::Run,
                is_dev: runner.is_dev,
                host: runner.host,
                port: runner.port,
                file,
                is_remote_dev_allowed: runner.is_remote_dev_allowed,
            },
            Command::Doctor(doctor) => {
                Flags { purpose: Purpose::Maintain, is_dev: doctor.is_dev, file, ..Flags::default() }
            }
            Command::Migrate { .. }
            | Command::Schema { .. }
            | Command::Ledger { .. }
            | Command::Accounts { .. }
            | Command::Users { .. }
            | Command::Credits { .. }
            | Command::Jobs { .. }
            | Command::Cron { .. }
            | Command::Settings { .. }
            | Command::Catalog { .. }
            | Command::Replicas(_) => Flags { purpose: Purpose::Maintain, file, ..Flags::default() },
        }
    }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Answer clients
    Serve(Serve),
    /// Do background work only, beside processes that serve on the same database
    Runner(Runner),
    /// Say what is wrong with this installation, and what to do
    Doctor(Doctor),
    /// Bring the database to the shape this version needs
    Migrate {
        #[command(subcommand)]
        action: Migrate,
    },
    /// The GraphQL schema
    Schema {
        #[command(subcommand)]
        action: Schema,
    },
    /// The books
    Ledger {
        #[command(subcommand)]
        action: Ledger,
    },
    /// What accounts have
    Accounts {
        #[command(subcommand)]
        action: Accounts,
    },
    /// Who may do what on the platform
    Users {
        #[command(subcommand)]
        action: Users,
    },
    /// What accounts may spend
    Credits {
        #[command(subcommand)]
        action: Credits,
    },
    /// The work that waits, runs, or has failed for good
    Jobs {
        #[command(subcommand)]
        action: Jobs,
    },
    /// The timetable
    Cron {
        #[command(subcommand)]
        action: Cron,
    },
    /// What can be changed while everything runs
    Settings {
        #[command(subcommand)]
        action: Settings,
    },
    /// Plans, features, models and prices
    Catalog {
        #[command(subcommand)]
        action: Catalog,
    },
    /// List the processes of this installation: those that live, and those that ended within a day
    Replicas(Replicas),
}

/// How to answer clients.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub struct Serve {
    /// Try it on this machine: no secrets needed, readable logs, local connections only
    #[arg(long = "dev")]
    pub is_dev: bool,
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<IpAddr>,
    /// Port to listen on; 0 lets the system choose [default: 3000]
    #[arg(long)]
    pub port: Option<u16>,
    /// Let --dev listen beyond this machine
    #[arg(long = "allow-remote-dev", requires = "is_dev")]
    pub is_remote_dev_allowed: bool,
}

/// How to do background work.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub struct Runner {
    /// Weak secrets are fine, readable logs, metrics for everybody on this machine
    #[arg(long = "dev")]
    pub is_dev: bool,
    /// Address for --port [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", requires = "port")]
    pub host: Option<IpAddr>,
    /// Show /livez, /readyz, /health and /metrics on this port; 0 lets the system choose [default: listen nowhere]
    #[arg(long)]
    pub port: Option<u16>,
    /// Let --dev listen beyond this machine
    #[arg(long = "allow-remote-dev", requires = "is_dev")]
    pub is_remote_dev_allowed: bool,
}

/// Which processes to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct Replicas {
    /// Most lines
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    pub limit: u16,
}

/// How to look.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub struct Doctor {
    /// Judge as for `serve --dev`
    #[arg(long = "dev")]
    pub is_dev: bool,
    /// Write JSON
    #[arg(long = "json")]
    pub is_json: bool,
    /// Open the test socket here [default: server.public_url, else the local address]
    #[arg(long, value_name = "URL", value_parser = web_address)]
    pub url: Option<Url>,
}

fn web_address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err("it begins with http or https".to_owned())
    }
}

/// What to do with migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Migrate {
    /// Apply what is missing
    Up,
    /// Show what is applied and what is missing
    Status,
}

/// What to do with the schema.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Schema {
    /// Write it to standard output
    Export {
        /// Write nothing; fail if FILE differs
        #[arg(long, value_name = "FILE")]
        check: Option<PathBuf>,
    },
    /// Write the reference of error codes to standard output
    Errors {
        /// Write nothing; fail if FILE differs
        #[arg(long, value_name = "FILE")]
        check: Option<PathBuf>,
    },
    /// List what a change of the schema breaks; fail if it breaks anything
    Check {
        /// Schema that clients were written for
        old: PathBuf,
        /// Schema that takes its place [default: what this program serves]
        new: Option<PathBuf>,
    },
}

/// What to do with the timetable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Cron {
    /// Show every entry: when it ticks, when it ticked last, and what became of that
    List,
}

/// What to do with the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Ledger {
    /// Prove that balances, holds and entries agree
    Check,
}

/// What to do with the settings of the platform.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Settings {
    /// Show all of them with their values
    List,
    /// Write the value of one to standard output, as JSON
    Get { key: String },
    /// Change one for all processes, within two seconds
    Set {
        key: String,
        /// JSON, or the bare words of a text
        value: String,
    },
    /// Go back to the built-in value
    Reset { key: String },
}
