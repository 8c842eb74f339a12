//! What is wrong with the settings, all of it at once. A fault names the key, where the value came from, why it is
//! refused and what to do. It never repeats the value: a secret pasted into the wrong key must not reach a terminal
//! or a log.

use std::{error::Error, fmt};

/// One setting that stops the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key as the operator wrote it, `server.port`, or the name of the variable if nothing has that key.
    pub key: String,
    /// Where the value came from; `None` when it is missing.
    pub origin: Option<String>,
    /// What is wrong.
    pub why: String,
    /// What to do about it.
    pub fix: String,
}

/// Every fault found in one reading of the settings; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFaults(pub Vec<Fault>);

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => writeln!(f, "1 setting must be corrected:")?,
            count => writeln!(f, "{count} settings must be corrected:")?,
        }
        for fault in &self.0 {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.origin.as_deref().unwrap_or("not set");
        write!(f, "{} ({origin}): {}\n    fix: {}", self.key, self.why, self.fix)
    }
}

impl Error for ConfigFaults {}

/// Why one value is refused and what to do, before it is known which key held it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) why: String,
    pub(crate) fix: String,
}

impl Refusal {
    pub(crate) fn new(why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { why: why.into(), fix: fix.into() }
    }
}
