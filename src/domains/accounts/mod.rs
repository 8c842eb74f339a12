//! People, their accounts and their sessions.
//!
//! Owns who somebody is ([`Viewer`]) and which accounts they may act in ([`Membership`]). A session is a family
//! of single-use refresh tokens; an access token is good for an hour and names its session, which is checked on
//! every request against a cache of a few seconds. Whatever ends a session writes a revocation in the same transaction,
//! and every process acts on it within two seconds.

pub mod graphql;
pub mod loaders;
mod model;
mod passwords;
mod repo;
mod service;
mod tokens;

pub use model::{AccountRow, MemberRole, Membership, SessionRow, UserRole, UserRow};
pub use passwords::Passwords;
pub use repo::seen_by;
pub use service::{
    Accounts, Ended, NewAccountEffect, NewSession, NewUser, Origin, Parts, SignedIn, Viewer, find_account,
    find_owner, set_role,
};
pub use tokens::{SigningKey, TokenSettings, Tokens};
