//! The command line: one file a command. Results go to standard output, the log to standard error. Exit code 0 is
//! success, 1 a failure or a check that did not pass, 2 a check that could not be made, 78 a configuration that cannot
//! work (`EX_CONFIG` of sysexits.h).

mod accounts;
pub mod args;
mod banner;
mod catalog;
mod credits;
mod cron;
mod database;
mod demo;
mod doctor;
mod jobs;
mod ledger;
mod migrate;
mod replicas;
mod runner;
mod schema;
mod serve;
mod settings;
mod stopping;
mod users;

use std::{io::Write, process::ExitCode};

use args::{Cli, Command, Cron, Ledger};
use chrono::{DateTime, Utc};

use crate::{
    config::{Config, Sources},
    error::AppError,
    platform::{
        postgres::{
            Db,
            embedded::StartError,
            listen::{self, Channel},
        },
        telemetry,
    },
};

/// The configuration, or the database it asks for, cannot work.
const EX_CONFIG: u8 = 78;

/// A check could not be made: not the same as one that did not pass.
const NOT_JUDGED: u8 = 2;

/// Runs one command to its end.
pub fn run(cli: &Cli) -> ExitCode {
    let command = cli.command();
    // The schema is the program's own: it needs no settings.
    if let Command::Schema { action } = command {
        return finish(schema::run(&action));
    }
    let config = match Sources::of_process(cli.flags()).and_then(Config::load) {
        Ok(config) => config,
        Err(faults) => return refuse(&faults.to_string()),
    };
    telemetry::install(config.log.format, config.log.is_colored, &config.log.filter);
    // Said once, so that a dependency that brings another provider cannot turn into a panic.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed before");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return finish(Err(error.into())),
    };
    finish(runtime.block_on(work(command, &config)))
}

async fn work(command: Command, config: &Config) -> anyhow::Result<Verdict> {
    match command {
        Command::Serve(_) => serve::run(config).await,
        Command::Runner(wishes) => runner::run(config, &wishes).await,
        Command::Migrate { action } => migrate::run(config, action).await,
        Command::Doctor(wishes) => doctor::run(config, &wishes).await,
        Command::Accounts { action } => accounts::run(config, action).await,
        Command::Users { action } => users::run(config, action).await,
        Command::Credits { action } => credits::run(config, action).await,
        Command::Jobs { action } => jobs::run(config, action).await,
        Command::Ledger { action: Ledger::Check } => ledger::run(config).await,
        Command::Cron { action: Cron::List } => cron::run(config).await,
        Command::Replicas(wishes) => replicas::run(config, wishes).await,
        Command::Schema { action } => schema::run(&action),
        Command::Settings { action } => settings::run(config, action).await,
        Command::Catalog { action } => catalog::run(config, action).await,
    }
}

/// How a command that did its work came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// It worked, and what it found is not right.
    NotPassed,
    /// What was to be judged cannot be read.
    NotJudged,
}

fn finish(result: anyhow::Result<Verdict>) -> ExitCode {
    match result {
        Ok(Verdict::Passed) => ExitCode::SUCCESS,
        Ok(Verdict::NotPassed) => ExitCode::FAILURE,
        Ok(Verdict::NotJudged) => ExitCode::from(NOT_JUDGED),
        Err(error) => {
            if let Some(StartError::NothingFound(_)) = error.downcast_ref() {
                return refuse(&error.to_string());
            }
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Says on standard error what went wrong.
fn complain(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
}

fn refuse(message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{message}");
    ExitCode::from(EX_CONFIG)
}

/// Text of others, as it may be shown: it must not be able to command the terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).collect()
}

/// An instant as all commands write it: to the second, in UTC.
fn instant(at: DateTime<Utc>) -> impl std::fmt::Display {
    at.format("%Y-%m-%dT%H:%M:%SZ")
}

/// A number of things.
fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// Writes a line of the result. A reader that went away is no failure of the command.
fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Lets the processes look at once. Without it they look within a second.
async fn hint(config: &Config, db: &Db) {
    if !config.database.is_notifying {
        return;
    }
    let sent =
        async { Ok::<_, AppError>(listen::send_once(&mut *db.conn().await?, Channel::Control).await?) };
    if let Err(error) = sent.await {
        tracing::debug!(error = error.chain(), "no hint was sent");
    }
}
