//! What administrators give and take by hand.
//!
//! Each has a reason and a key. A repeat under the same key says what the first one did, and another input under it is
//! refused, however much later. Taking takes what is there, never more.

use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use uuid::Uuid;

use super::{
    model::{Balance, Credits},
    repo::{
        adjustments::{self as repo, AdjustmentRow, Inserted},
        balances,
    },
};
use crate::{
    domains::settings::Settings,
    error::{AppError, ErrorCode, Result},
    platform::{clock::Clock, ids::new_uuid, postgres::Db, tasks::Tasks},
};

/// Micro-credits that nobody needs more of at a time: a billion credits.
const MOST: i64 = 1_000_000_000_000_000;

const EXPIRY: &str = "Only credits that are given expire, and only in the future.";

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Adjustment {
    pub account_id: Uuid,
    /// To give, or to take when negative.
    pub amount: Credits,
    /// When given credits expire; `None`: never.
    pub expires_at: Option<DateTime<Utc>>,
    /// For the statement of the customer and for the books; 1 to 500 characters.
    pub reason: String,
    /// The administrator, unless it is a command.
    pub requested_by: Option<Uuid>,
    /// Of the intent, 8 to 255 characters; unique among those of the same administrator.
    pub key: String,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adjusted {
    pub id: Uuid,
    /// Less than was to be taken, when there was less.
    pub booked: Credits,
    /// After it, or after all that has happened since when this is a repeat.
    pub balance: Balance,
}

/// Books adjustments; clones share everything.
#[derive(Clone)]
pub struct Adjustments {
    db: Db,
    clock: Clock,
    tasks: Tasks,
    settings: Settings,
}

impl Adjustments {
    pub fn new(db: Db, clock: Clock, tasks: Tasks, settings: Settings) -> Self {
        Self { db, clock, tasks, settings }
    }

    /// Gives or takes credits, once for a key.
    ///
    /// # Errors
    /// `INVALID_INPUT` for what cannot be, `FORBIDDEN` above the bound of one administrator, `NOT_FOUND` without the
    /// account, `IDEMPOTENCY_KEY_REUSED`.
    pub async fn adjust(&self, asked: Adjustment) -> Result<Adjusted> {
        self.tasks.require_running()?;
        require_shape(&asked)?;
        let this = self.clone();
        let work = async move {
            let row = AdjustmentRow {
                id: new_uuid(&this.clock),
                account_id: asked.account_id,
                amount: asked.amount.0,
                booked: 0,
                expires_at: asked.expires_at,
                reason: asked.reason,
                status: "applied".to_owned(),
                requested_by: asked.requested_by,
                key: asked.key,
            };
            let mut conn = this.db.conn().await?;
            conn.transaction(async |conn| this.adjust_in_tx(conn, row).await).await
        };
        self.tasks.run(work).await
    }

    async fn adjust_in_tx(&self, conn: &mut AsyncPgConnection, asked: AdjustmentRow) -> Result<Adjusted> {
        let row = match repo::insert(conn, &asked).await? {
            Inserted::NoAccount => return Err(AppError::not_found("accountId", "account")),
            Inserted::New => {
                self.require_possible(&asked)?;
                let booked = repo::book(conn, &asked).await?;
                AdjustmentRow { booked, ..asked }
            }
            Inserted::Repeat => {
                let first = repo::find_unscoped(conn, asked.requested_by, &asked.key).await?;
                if !first.is_same_wish(&asked) {
                    let words = "This idempotency key was used before with another input.";
                    return Err(AppError::new(ErrorCode::IdempotencyKeyReused, words).at("idempotencyKey"));
                }
                first
            }
        };
        let balance = balances::find_balance_unscoped(conn, row.account_id).await?;
        Ok(Adjusted { id: row.id, booked: Credits(row.booked), balance })
    }

    /// What may be otherwise tomorrow is asked of the first only: a repeat says what the first one did.
    fn require_possible(&self, asked: &AdjustmentRow) -> Result<()> {
        if asked.expires_at.is_some_and(|at| at <= self.clock.now()) {
            return Err(AppError::invalid("expiresAt", EXPIRY));
        }
        let bound = self.settings.current().credit_adjustment_bound.saturating_mul(1_000_000);
        // Whoever runs commands has the database anyway.
        if asked.requested_by.is_some() && asked.amount.saturating_abs() > bound {
            let words = format!("More than {} credits are for the command line.", Credits(bound));
            return Err(AppError::new(ErrorCode::RoleForbids, words).at("amount"));
        }
        Ok(())
    }
}

fn require_shape(asked: &Adjustment) -> Result<()> {
    let amount = asked.amount.0;
    if amount == 0 || !(-MOST..=MOST).contains(&amount) {
        let words = "An amount is not 0, and a billion credits at most.";
        return Err(AppError::invalid("amount", words));
    }
    if asked.expires_at.is_some() && amount < 0 {
        return Err(AppError::invalid("expiresAt", EXPIRY));
    }
    require_reason(&asked.reason)?;
    if !(8..=255).contains(&asked.key.chars().count()) || asked.key.contains('\0') {
        let words = "An idempotency key has 8 to 255 characters, and none of them is NUL.";
        return Err(AppError::invalid("idempotencyKey", words));
    }
    Ok(())
}

/// A reason is a few words on one line.
pub fn require_reason(reason: &str) -> Result<()> {
    let is_sound = (1..=500).contains(&reason.chars().count())
        && !reason.trim().is_empty()
        && !reason.chars().any(char::is_control);
    let refusal = || AppError::invalid("reason", "A reason has 1 to 500 characters on one line.");
    is_sound.then_some(()).ok_or_else(refusal)
}
