//! The loaders of one request. They belong to one viewer, so what one may see never reaches another, and they collect
//! what sibling fields ask for into one statement.

use async_graphql::dataloader::{DataLoader, Loader};
use std::hash::Hash;
use uuid::Uuid;

use crate::{
    domains::{
        accounts::loaders::{AccountLoader, SessionLoader, UserLoader},
        conversations::loaders::{BranchLoader, ConversationLoader, MessageLoader},
        credits::loaders::BalanceLoader,
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
    pub conversations: DataLoader<ConversationLoader>,
    pub branches: DataLoader<BranchLoader>,
    pub messages: DataLoader<MessageLoader>,
    pub generations: DataLoader<GenerationLoader>,
    pub generations_of_messages: DataLoader<GenerationOfMessageLoader>,
    pub running_contents: DataLoader<RunningContentLoader>,
}

impl Loaders {
    pub fn new(db: Db, viewer: Uuid) -> Self {
        Self {
            users: batch(UserLoader { db: db.clone(), viewer }),
            sessions: batch(SessionLoader { db: db.clone(), viewer }),
            accounts: batch(AccountLoader { db: db.clone(), viewer }),
            balances: batch(BalanceLoader { db: db.clone(), viewer }),
            conversations: batch(ConversationLoader { db: db.clone(), viewer }),
            branches: batch(BranchLoader { db: db.clone(), viewer }),
            messages: batch(MessageLoader { db: db.clone(), viewer }),
            generations: batch(GenerationLoader { db: db.clone(), viewer }),
            generations_of_messages: batch(GenerationOfMessageLoader { db: db.clone(), viewer }),
            running_contents: batch(RunningContentLoader { db }),
        }
    }
}

/// Dispatches as soon as every sibling has asked.
#[expect(clippy::disallowed_methods, reason = "a batch only reads; its request waits for it")]
fn batch<K: Send + Sync + Hash + Eq + Clone + 'static, L: Loader<K>>(loader: L) -> DataLoader<L> {
    DataLoader::new(loader, |task| {
        tokio::spawn(tracing::Instrument::in_current_span(task));
    })
    .delay(std::time::Duration::ZERO)
    .max_batch_size(1000)
}
