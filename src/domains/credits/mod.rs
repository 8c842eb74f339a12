//! Credits: what an account has, what is held for work in progress, and every movement.
//!
//! The ledger is append-only, in integer micro-credits. Work that costs is paid in two steps: a hold of the most it
//! may cost before it starts, and one settlement to what it did cost. [`Hold`] is the proof of the first step and
//! the only way to the second; whoever has one must resolve it exactly once.
//!
//! ```text
//! let quote = Quote::new(&model, plan, prompt_tokens, wanted);     // what it may cost
//! let hold  = accept(quote) -> Hold                                // reserved, together with the message
//! provider.stream_chat(request, &hold)                             // the cap that was paid for goes upstream
//! finish(hold.settle(usage))                                       // spent, the rest returned, with the answer
//! ```

mod adjustments;
mod grants;
pub mod graphql;
mod hold;
pub mod loaders;
mod model;
mod repo;
mod service;

pub use adjustments::{Adjusted, Adjustment, Adjustments, require_reason};
pub use grants::{
    GrantSource, NewGrant, PeriodGrant, expire_in_tx, grant_in_tx, list_period_grants, list_with_expired,
    lock_wallets_in_tx,
};
pub use hold::{Hold, Quote, Resolution, ResolutionKind, Terms, Usage, UsageSource};
pub use model::{Balance, Credits, EntryKind, LedgerEntryRow};
pub use service::{CreditLedger, Difference, check, last_check, note_check};
