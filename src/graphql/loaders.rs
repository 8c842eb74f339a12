//! The loaders of one request. They belong to one viewer, so what one may see never reaches another, and they collect
//! what sibling fields ask for into one statement.

use std::hash::Hash;

use async_graphql::dataloader::{DataLoader, Loader};
use uuid::Uuid;

use super::batches::Batches;
use crate::{
    domains::{
        accounts::loaders::{AccountLoader, SessionLoader, UserLoader},
        conversations::loaders::{BranchLoader, ConversationLoader, MessageLoader},
        credits::loaders::{BalanceLoader, LedgerEntryLoader},
        generations::loaders::{GenerationLoader, GenerationOfMessageLoader, RunningContentLoader},
    },
    platform::postgres::Db,
};

/// One loader a kind of object.
pub struct Loaders {
    pub users: DataLoader<UserLoader>,
    pub sessions: DataLoader<SessionLoader>,
    pub accounts: DataLoader<AccountLoader>,
    pub balances: DataLoader<BalanceLoader>,
    pub ledger_entries: DataLoader<LedgerEntryLoader>,
    pub conversations: DataLoader<ConversationLoader>,
    pub branches: DataLoader<BranchLoader>,
    pub messages: DataLoader<MessageLoader>,
    pub generations: DataLoader<GenerationLoader>,
    pub generations_of_messages: DataLoader<GenerationOfMessageLoader>,
    pub running_contents: DataLoader<RunningContentLoader>,
}

impl Loaders {
    /// Loaders in the name of `viewer`, whose batches run with the request that drives `batches`.
    pub fn new(db: Db, viewer: Uuid, batches: &Batches) -> Self {
        Self {
            users: batch(batches, UserLoader { db: db.clone(), viewer }),
            sessions: batch(batches, SessionLoader { db: db.clone(), viewer }),
            accounts: batch(batches, AccountLoader { db: db.clone(), viewer }),
            balances: batch(batches, BalanceLoader { db: db.clone(), viewer }),
            ledger_entries: batch(batches, LedgerEntryLoader { db: db.clone(), viewer }),
            conversations: batch(batches, ConversationLoader { db: db.clone(), viewer }),
            branches: batch(batches, BranchLoader { db: db.clone(), viewer }),
            messages: batch(batches, MessageLoader { db: db.clone(), viewer }),
            generations: batch(batches, GenerationLoader { db: db.clone(), viewer }),
            generations_of_messages: batch(batches, GenerationOfMessageLoader { db: db.clone(), viewer }),
            running_contents: batch(batches, RunningContentLoader { db }),
        }
    }
}

/// Sent as soon as every sibling has asked.
fn batch<K: Send + Sync + Hash + Eq + Clone + 'static, L: Loader<K>>(
    batches: &Batches,
    loader: L,
) -> DataLoader<L> {
    let batches = batches.clone();
    DataLoader::new(loader, move |batch| batches.begin(batch))
        .delay(std::time::Duration::ZERO)
        .max_batch_size(1000)
}
