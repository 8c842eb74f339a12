//! The loaders of one request. They belong to one viewer, so what one may see never reaches another, and they collect
//! what sibling fields ask for into one statement.

use uuid::Uuid;

use super::{
    batches::{Batched, Batches},
    pagination::PageKey,
};
use crate::{
    domains::{
        accounts::loaders::{AccountLoader, SessionLoader, UserLoader},
        conversations::{
            BranchPage, ConversationPage,
            loaders::{
                BranchLoader, ConversationLoader, ConversationPageLoader, MessageLoader, SiblingLoader,
            },
        },
        credits::{
            EntryPage,
            loaders::{
                AdjustmentLoader, BalanceLoader, CountsLoader, EntryPageLoader, GrantLoader,
                LedgerEntryLoader, LeftGrantsLoader,
            },
        },
        generations::loaders::{GenerationLoader, GenerationOfMessageLoader, RunningContentLoader},
        subscriptions::loaders::SubscriptionLoader,
    },
    platform::postgres::Db,
};

/// One loader a kind of object.
pub struct Loaders {
    pub users: Batched<Uuid, UserLoader>,
    pub sessions: Batched<Uuid, SessionLoader>,
    pub accounts: Batched<Uuid, AccountLoader>,
    pub balances: Batched<Uuid, BalanceLoader>,
    pub subscriptions: Batched<Uuid, SubscriptionLoader>,
    pub adjustments: Batched<Uuid, AdjustmentLoader>,
    pub counts: Batched<Uuid, CountsLoader>,
    pub grants: Batched<Uuid, GrantLoader>,
    pub left_grants: Batched<Uuid, LeftGrantsLoader>,
    pub ledger_entries: Batched<Uuid, LedgerEntryLoader>,
    pub entry_pages: Batched<PageKey<EntryPage>, EntryPageLoader>,
    pub conversations: Batched<Uuid, ConversationLoader>,
    pub conversation_pages: Batched<PageKey<ConversationPage>, ConversationPageLoader>,
    pub branches: Batched<PageKey<BranchPage>, BranchLoader>,
    pub messages: Batched<Uuid, MessageLoader>,
    pub siblings: Batched<Uuid, SiblingLoader>,
    pub generations: Batched<Uuid, GenerationLoader>,
    pub generations_of_messages: Batched<Uuid, GenerationOfMessageLoader>,
    pub running_contents: Batched<Uuid, RunningContentLoader>,
}

impl Loaders {
    /// Loaders in the name of `viewer`, whose batches run with the request that drives `batches`.
    pub fn new(db: Db, viewer: Uuid, batches: &Batches) -> Self {
        Self {
            users: Batched::new(batches, UserLoader { db: db.clone(), viewer }),
            sessions: Batched::new(batches, SessionLoader { db: db.clone(), viewer }),
            accounts: Batched::new(batches, AccountLoader { db: db.clone(), viewer }),
            balances: Batched::new(batches, BalanceLoader { db: db.clone(), viewer }),
            subscriptions: Batched::new(batches, SubscriptionLoader { db: db.clone(), viewer }),
            adjustments: Batched::new(batches, AdjustmentLoader { db: db.clone(), viewer }),
            counts: Batched::new(batches, CountsLoader { db: db.clone(), viewer }),
            grants: Batched::new(batches, GrantLoader { db: db.clone(), viewer }),
            left_grants: Batched::new(batches, LeftGrantsLoader { db: db.clone(), viewer }),
            ledger_entries: Batched::new(batches, LedgerEntryLoader { db: db.clone(), viewer }),
            entry_pages: Batched::new(batches, EntryPageLoader { db: db.clone(), viewer }),
            conversations: Batched::new(batches, ConversationLoader { db: db.clone(), viewer }),
            conversation_pages: Batched::new(batches, ConversationPageLoader { db: db.clone(), viewer }),
            branches: Batched::new(batches, BranchLoader { db: db.clone(), viewer }),
            messages: Batched::new(batches, MessageLoader { db: db.clone(), viewer }),
            siblings: Batched::new(batches, SiblingLoader { db: db.clone(), viewer }),
            generations: Batched::new(batches, GenerationLoader { db: db.clone(), viewer }),
            generations_of_messages: Batched::new(
                batches,
                GenerationOfMessageLoader { db: db.clone(), viewer },
            ),
            running_contents: Batched::new(batches, RunningContentLoader { db }),
        }
    }
}
