//! Credits, limits and the ledger in the API.

mod account;
mod adjustment;
mod balance;
mod grant;
mod ledger;
mod quota;
mod refusals;
mod subscription;

use async_graphql::Interface;

use crate::{
    domains::{
        conversations::graphql::ConversationPayload,
        generations::graphql::{GenerationPayload, SendMessagePayload},
    },
    graphql::errors::UserError,
};

pub use account::{AccountCredits, balance_of};
pub use adjustment::{CreditAdjustment, CreditsMutation};
pub use balance::CreditBalance;
pub use grant::CreditGrant;
pub use ledger::LedgerEntry;
pub use quota::{Quota, shown};
pub use refusals::{InsufficientCreditsError, PlanRequiredError, QuotaExceededError, standing_of};
pub use subscription::CreditsSubscription;

/// Fields of every payload whose mutation spends credits or quota.
#[derive(Interface)]
#[graphql(
    field(
        name = "credit_balance",
        ty = "&Option<CreditBalance>",
        desc = "Credits after the call, or null for members without sight of the balance."
    ),
    field(name = "quotas", ty = "&Vec<Quota>", desc = "Every limit the call drew on, as it stands now."),
    field(
        name = "user_errors",
        ty = "&Vec<UserError>",
        desc = "What the caller can put right; empty on success."
    )
)]
pub enum PaidPayload {
    Conversation(ConversationPayload),
    SendMessage(SendMessagePayload),
    Generation(GenerationPayload),
}
