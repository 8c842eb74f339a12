//! Objects whose fields come from several domains: each part is an object of its own domain over the same row.

use async_graphql::{Context, Interface, MergedObject, Result};

use crate::{
    domains::{accounts, catalog, conversations, credits, generations, subscriptions},
    platform::ids::Id,
};

pub use accounts::graphql::{Session, User, Viewer};
pub use catalog::graphql::{Model, Plan};
pub use conversations::graphql::Conversation;
pub use credits::graphql::{CreditAdjustment, CreditGrant, LedgerEntry};
pub use generations::graphql::Generation;

macro_rules! merged {
    ($(#[$doc:meta])* $name:ident($row:ty, $entity:ty) { $first:path $(, $part:path)* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, MergedObject)]
        pub struct $name($first $(, $part)*);

        impl From<$row> for $name {
            fn from(row: $row) -> Self {
                $name($first(row.clone()) $(, $part(row.clone()))*)
            }
        }

        impl $name {
            /// For the interface `Node`.
            pub async fn id(&self, ctx: &Context<'_>) -> Result<Id<$entity>> {
                self.0.id(ctx).await
            }
        }
    };
}

merged! {
    /// Owner and payer of conversations, tasks, files, credits and a subscription; a personal account is a team of one.
    Account(accounts::graphql::AccountRef, accounts::AccountRow) {
        accounts::graphql::AccountCore,
        subscriptions::graphql::AccountPlan,
        credits::graphql::AccountCredits,
        conversations::graphql::AccountConversations,
    }
}

merged! {
    /// One turn in a conversation.
    Message(conversations::graphql::MessageRef, conversations::MessageRow) {
        conversations::graphql::MessageCore,
        generations::graphql::MessageRun,
    }
}

/// Object that can be read again by its id.
#[derive(Interface)]
#[graphql(field(
    name = "id",
    ty = "async_graphql::ID",
    desc = "Opaque id that is unique across all types and starts with the prefix of its type, such as `msg_`."
))]
pub enum Node {
    User(User),
    Session(Session),
    Account(Account),
    Plan(Plan),
    CreditGrant(CreditGrant),
    CreditAdjustment(CreditAdjustment),
    LedgerEntry(LedgerEntry),
    Conversation(Conversation),
    Message(Message),
    Generation(Generation),
    Model(Model),
}
