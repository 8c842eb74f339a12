//! The words of `loquent accounts`, `credits` and `users`: what operators do for customers.

use chrono::{DateTime, Utc};
use clap::{Subcommand, ValueEnum};

use crate::{config::document::micro_units, domains::credits as domain};

/// What to do with accounts.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Accounts {
    /// Show the plan, the balance, every limit, the grants and the newest movements of an account
    Show {
        /// Id, or the e-mail address of the owner of a personal account
        account: String,
        /// Write JSON
        #[arg(long = "json")]
        is_json: bool,
    },
    /// Put a plan in force at once, without payment
    SetPlan {
        /// Id, or the e-mail address of the owner of a personal account
        account: String,
        /// Key of a plan that is offered
        plan: String,
        /// When the plan it had comes back, such as `2027-01-01T00:00:00Z` [default: never]
        #[arg(long, value_name = "INSTANT")]
        until: Option<DateTime<Utc>>,
        /// For the history of the account
        #[arg(long)]
        reason: String,
    },
}

/// What to do with people.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Users {
    /// Make somebody an administrator, or no longer one
    SetRole {
        /// E-mail address
        email: String,
        role: Role,
    },
}

/// Rights of a person on the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Gives and takes credits and plans of others
    Admin,
    /// As everybody who joins
    User,
}

/// What to do with credits.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Credits {
    /// Give credits, or take what is there of them when the amount is negative
    Adjust {
        /// Id, or the e-mail address of the owner of a personal account
        account: String,
        /// Credits with at most 6 decimals, such as `12.5` or `-3`
        #[arg(value_parser = amount, allow_negative_numbers = true)]
        amount: domain::Credits,
        /// When given credits expire, such as `2027-01-01T00:00:00Z` [default: never]
        #[arg(long, value_name = "INSTANT")]
        expires: Option<DateTime<Utc>>,
        /// For the books, and shown to the customer
        #[arg(long)]
        reason: String,
        /// Of this intent: a repeat under the same key books nothing [default: a new one]
        #[arg(long)]
        key: Option<String>,
    },
}

/// Credits with a sign.
fn amount(text: &str) -> Result<domain::Credits, String> {
    let (sign, number) = text.strip_prefix('-').map_or((1, text), |number| (-1, number));
    let micro = micro_units(number, 1_000_000_000)
        .map_err(|refusal| format!("it {}; {}", refusal.why, refusal.fix))?;
    Ok(domain::Credits(sign * micro))
}
