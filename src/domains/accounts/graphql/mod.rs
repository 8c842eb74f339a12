//! People, accounts and sessions in the API.

mod inputs;
mod mutation;
mod query;
mod types;

pub use mutation::AccountsMutation;
pub use query::AccountsQuery;
pub use types::{AccountCore, AccountPayload, AccountRef, AccountView, Session, User, Viewer, seen_account};
