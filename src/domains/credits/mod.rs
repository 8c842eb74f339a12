//! Credits: what an account has, what is held for work in progress, and every movement.
//!
//! The ledger is append-only, in integer micro-credits. Limits are counted beside it: a call draws on wallets and counters
//! at once, on all or on none. Work that costs is paid in two steps: a hold of the most it may cost before it starts, and
//! one settlement to what it did cost. [`Hold`] is the proof of the first step and the only way to the second; whoever has
//! one must resolve it exactly once.
//!
//! ```text
//! let quote = Quote::new(&call);                                   // what it may cost, a line for each limit
//! let hold  = accept(quote) -> Hold                                // reserved, together with the message
//! provider.stream_chat(request, &hold, &allowed)                   // the cap that was paid for goes upstream
//! finish(hold.settle(usage))                                       // spent, the rest returned, with the answer
//! ```

mod adjustments;
mod ceilings;
mod counted;
mod demand;
mod grants;
pub mod graphql;
mod hold;
mod lines;
pub mod loaders;
mod model;
mod quota;
mod quote;
mod refusal;
mod repo;
mod service;
mod usage;
mod watch;
mod windows;

pub use adjustments::{Adjusted, Adjustment, Adjustments, require_reason};
pub use ceilings::CeilingAlarm;
pub use counted::{NewConversationCount, NotCounted, count_conversation_in_tx};
pub use demand::Demand;
pub use grants::{
    GrantSource, NewGrant, PeriodGrant, expire_in_tx, grant_in_tx, list_period_grants, list_with_expired,
    lock_wallets_in_tx,
};
pub use hold::{Actual, Hold, Resolution, ResolutionKind};
pub use lines::{Line, Target};
pub use model::{Balance, CreditAdjustmentRow, Credits, EntryKind, GrantRow, LedgerEntryRow, Standing};
pub use quota::{Count, CountScope, Limits, Quota, read_counts};
pub use quote::{Call, Quote};
pub use refusal::{LineKind, Refusal};
pub use repo::{counted::refusal_of, entries::EntryPage};
pub use service::{
    AccountCounts, Difference, check, find_standing, last_check, list_counts, list_last_entries,
    list_left_grants, note_check,
};
pub use usage::{Terms, Usage, UsageSource};
pub use watch::AccountWatch;
pub use windows::{Anchors, Bounds, bounds, day, month_since};
