//! `loquent doctor`: looks at everything a server needs and says what is wrong and what to do. It changes nothing,
//! starts nothing and spends nothing. Every check is bounded, and one that fails keeps no other from running.

mod catalog;
mod database;
mod providers;
mod settings;
mod upgrade;

use std::fmt;

use serde::Serialize;

use super::{Verdict, args::Doctor, say};
use crate::{config::Config, platform::clock::Clock};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    /// It works, and is probably not what is wanted.
    Warn,
    /// It does not work.
    Fail,
}

/// What one check says.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    level: Level,
    /// What was looked at.
    what: String,
    /// How it is. No secret, and no address that holds one.
    reason: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Finding {
    fn ok(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { level: Level::Ok, what: what.into(), reason: reason.into(), fix: None }
    }

    fn warn(what: impl Into<String>, reason: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Warn, what: what.into(), reason: reason.into(), fix: Some(fix.into()) }
    }

    fn fail(what: impl Into<String>, reason: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Fail, ..Self::warn(what, reason, fix) }
    }
}

/// One line, whatever an error has written into it.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        write!(f, "{level}  {}: {}", self.what, one_line(&self.reason))?;
        match &self.fix {
            Some(fix) => write!(f, ". Fix: {}", one_line(fix)),
            None => Ok(()),
        }
    }
}

/// Everything that was found.
#[derive(Serialize)]
struct Report {
    /// That of the worst finding.
    status: Level,
    findings: Vec<Finding>,
}

pub async fn run(config: &Config, wishes: &Doctor) -> anyhow::Result<Verdict> {
    let clock = Clock::default();
    let ((database, catalogue), upgrade) =
        tokio::join!(database::check(config, &clock), upgrade::check(config, wishes.url.as_ref()));
    let providers = providers::check(config, catalogue.as_ref(), &clock).await;
    let mut findings = settings::check(config);
    findings.extend(database);
    findings.extend(catalogue.iter().flat_map(|content| catalog::check(config, content)));
    findings.extend(providers);
    findings.push(upgrade);
    let status = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    let report = Report { status, findings };
    if wishes.is_json {
        say(serde_json::to_string_pretty(&report)?);
    } else {
        report.findings.iter().for_each(say);
    }
    Ok(if status == Level::Fail { Verdict::NotPassed } else { Verdict::Passed })
}
