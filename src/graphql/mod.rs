//! Assembly of the GraphQL API from the parts in the domains, and what all of them share. Names no table.

pub mod access;
pub mod admission;
pub mod batches;
pub mod compare;
pub mod context;
pub mod errors;
pub mod extension;
pub mod graphiql;
pub mod guard;
pub mod ids;
pub mod loaders;
pub mod money;
pub mod node;
pub mod null_boundary;
pub mod pagination;
pub mod patience;
pub mod payloads;
pub mod rates;
pub mod roots;
pub mod scalars;
pub mod transport;
pub mod types;

pub use context::{Api, Caller, ContextExt, Credential, RequestId};
pub use patience::Patience;
pub use roots::{Schema, schema_builder};
pub use types::{
    Account, Conversation, CreditAdjustment, CreditGrant, Generation, LedgerEntry, Message, Model, Plan,
    Session, User, Viewer,
};
