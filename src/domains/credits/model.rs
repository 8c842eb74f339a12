//! Amounts, balances and ledger entries.

use std::fmt;

use chrono::{DateTime, Utc};
use diesel::{pg::Pg, prelude::*, sql_types};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    platform::ids::Entity,
    schema::{credit_adjustments, ledger_entries, wallets},
};

/// An amount of credits in micro-units: 1 credit is 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Credits(pub i64);

/// Six decimals, such as `12.500000`.
impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micro = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:06}", micro / 1_000_000, micro % 1_000_000)
    }
}

/// Credits of an account at one revision of its wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Queryable, Selectable, Deserialize)]
#[diesel(table_name = wallets, check_for_backend(Pg))]
pub struct Balance {
    /// Micro-credits that may be spent.
    pub available: i64,
    /// Micro-credits reserved by work in progress.
    pub held: i64,
    /// Grows by one with every movement.
    pub revision: i64,
}

/// A balance, and whether it is what the account has by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub balance: Balance,
    /// True when a period of the plan or something granted is over, and nobody has booked that yet.
    pub is_due: bool,
}

/// One movement.
#[derive(Debug, Clone, Queryable, Selectable, QueryableByName)]
#[diesel(table_name = ledger_entries, check_for_backend(Pg))]
pub struct LedgerEntryRow {
    pub id: Uuid,
    pub kind: String,
    pub amount: i64,
    pub balance_after: i64,
    pub revision: i64,
    pub grant_id: Uuid,
    pub hold_id: Option<Uuid>,
    pub taking_id: Option<Uuid>,
    pub user_id: Option<Uuid>,
    pub description: String,
    pub created_at: DateTime<Utc>,
}

impl Entity for LedgerEntryRow {
    const PREFIX: &'static str = "led";
}

/// Credits received at one time.
#[derive(Debug, Clone, QueryableByName)]
#[diesel(check_for_backend(Pg))]
pub struct GrantRow {
    #[diesel(sql_type = sql_types::Uuid)]
    pub id: Uuid,
    #[diesel(sql_type = sql_types::Uuid)]
    pub account_id: Uuid,
    #[diesel(sql_type = sql_types::Text)]
    pub source: String,
    #[diesel(sql_type = sql_types::BigInt)]
    pub amount: i64,
    /// Neither spent, held, expired nor taken back.
    #[diesel(sql_type = sql_types::BigInt)]
    pub available: i64,
    /// `None`: never.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Timestamptz>)]
    pub expires_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = sql_types::Timestamptz)]
    pub created_at: DateTime<Utc>,
}

impl Entity for GrantRow {
    const PREFIX: &'static str = "grt";
}

/// What an administrator gave or took.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = credit_adjustments, check_for_backend(Pg))]
pub struct CreditAdjustmentRow {
    pub id: Uuid,
    pub account_id: Uuid,
    /// What was really given or, negative, taken: less than was asked for where there was less.
    pub booked: i64,
    pub reason: String,
    pub status: String,
    pub requested_by: Option<Uuid>,
    pub created_at: DateTime<Utc>,
}

impl Entity for CreditAdjustmentRow {
    const PREFIX: &'static str = "cra";
}

/// Kind of a movement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    Grant,
    Hold,
    Settle,
    Release,
    Expire,
    /// Spent money given back, or bought money taken back.
    Refund,
    Adjust,
}

impl EntryKind {
    pub const ALL: [Self; 7] =
        [Self::Grant, Self::Hold, Self::Settle, Self::Release, Self::Expire, Self::Refund, Self::Adjust];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Hold => "hold",
            Self::Settle => "settle",
            Self::Release => "release",
            Self::Expire => "expire",
            Self::Refund => "refund",
            Self::Adjust => "adjust",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_show_six_decimals() {
        for (micro, text) in [
            (0, "0.000000"),
            (1, "0.000001"),
            (12_500_000, "12.500000"),
            (-1, "-0.000001"),
            (-1_000_001, "-1.000001"),
        ] {
            assert_eq!(Credits(micro).to_string(), text);
        }
    }
}
