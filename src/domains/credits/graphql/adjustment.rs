//! Credits that administrators give and take.

use async_graphql::{Context, Enum, InputObject, Object, Result, SimpleObject};

use super::balance::CreditBalance;
use crate::{
    domains::{
        accounts::{
            AccountRow,
            graphql::{User, seen_account},
        },
        credits::{AccountWatch, Adjustment, Adjustments, CreditAdjustmentRow, Credits},
    },
    error::AppError,
    graphql::{
        Account, ContextExt,
        access::{AccessLevel, Declared, access},
        errors::{UserError, raise, split},
        null_boundary::semantic_non_null,
        scalars::{DateTime, Decimal},
    },
    platform::ids::Id,
};

/// Credits given or taken by hand.
#[derive(Clone)]
pub struct CreditAdjustment(pub CreditAdjustmentRow);

/// Credits given or taken by hand.
#[Object]
impl CreditAdjustment {
    /// Id with the prefix `cra_`.
    pub async fn id(&self) -> Id<CreditAdjustmentRow> {
        self.0.id.into()
    }

    /// Account it concerns.
    #[graphql(directive = semantic_non_null::apply(vec![0]))]
    async fn account(&self, ctx: &Context<'_>) -> Result<Option<Account>> {
        seen_account(ctx, self.0.account_id).await
    }

    /// Credits given, or taken when negative.
    async fn amount(&self) -> Decimal {
        Credits(self.0.booked).into()
    }

    /// Reason that was given.
    async fn reason(&self) -> &str {
        &self.0.reason
    }

    /// State.
    async fn status(&self) -> Result<CreditAdjustmentStatus> {
        match self.0.status.as_str() {
            "applied" => Ok(CreditAdjustmentStatus::Applied),
            other => Err(raise(AppError::internal(anyhow::anyhow!("an adjustment is {other}")))),
        }
    }

    /// Administrator who asked for it, or null when that was a command or is not for the caller to see.
    async fn requested_by(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        let Some(id) = self.0.requested_by else { return Ok(None) };
        Ok(ctx.loaders().users.load_one(id).await.map_err(raise)?.map(User))
    }

    /// When it was asked for.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }
}

/// State of a manual credit change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum CreditAdjustmentStatus {
    /// Booked.
    Applied,
}

/// Credits to give or take by hand.
#[derive(InputObject)]
pub struct AdjustCreditsInput {
    /// Account it concerns.
    account_id: Id<AccountRow>,
    /// Credits to give, or to take when negative; what is above the bound of the platform is refused.
    amount: Decimal,
    /// When given credits expire; never when absent.
    expires_at: Option<DateTime>,
    /// Reason for the audit log and the statement.
    reason: String,
    /// 8 to 255 characters, new for each intent; the same key and input give the first result, however much later.
    idempotency_key: String,
}

/// Result of a manual credit change.
#[derive(SimpleObject)]
pub struct CreditAdjustmentPayload {
    /// The change, or null when refused.
    adjustment: Option<CreditAdjustment>,
    /// Balance after it was booked, or null while it waits.
    credit_balance: Option<CreditBalance>,
    /// What the caller can put right; empty on success.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct CreditsMutation;

#[Object(guard = "Declared")]
impl CreditsMutation {
    /// Gives or takes credits by hand.
    #[graphql(directive = access::apply(AccessLevel::Admin))]
    async fn adjust_credits(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Change.")] input: AdjustCreditsInput,
    ) -> Result<CreditAdjustmentPayload> {
        let account_id = input.account_id.0;
        let result = match input.into_adjustment(ctx) {
            Ok(asked) => ctx.handle::<Adjustments>().adjust(asked).await,
            Err(error) => Err(error),
        };
        Ok(match split(ctx, result)? {
            Ok(adjusted) => {
                ctx.handle::<AccountWatch>().hint(account_id);
                let row = ctx.loaders().adjustments.load_one(adjusted.id).await.map_err(raise)?;
                CreditAdjustmentPayload {
                    adjustment: row.map(CreditAdjustment),
                    credit_balance: Some(CreditBalance { account_id, balance: adjusted.balance }),
                    user_errors: Vec::new(),
                }
            }
            Err(user_errors) => {
                CreditAdjustmentPayload { adjustment: None, credit_balance: None, user_errors }
            }
        })
    }
}

impl AdjustCreditsInput {
    fn into_adjustment(self, ctx: &Context<'_>) -> Result<Adjustment, AppError> {
        let too_fine = || AppError::invalid("amount", "An amount has at most six decimals.");
        Ok(Adjustment {
            account_id: self.account_id.0,
            amount: Credits(self.amount.to_signed_micro().ok_or_else(too_fine)?),
            expires_at: self.expires_at.map(|at| at.0),
            reason: self.reason,
            requested_by: Some(ctx.viewer().user_id),
            key: self.idempotency_key,
        })
    }
}
