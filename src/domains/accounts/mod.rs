//! People, their accounts and their sessions.
//!
//! Owns who somebody is ([`Viewer`]) and which accounts they may act in ([`Membership`]). A session is a family
//! of single-use refresh tokens; an access token is good for an hour and names its session, which is checked on
//! every request against a cache of a few seconds, so that signing out ends it everywhere.

pub mod graphql;
pub mod loaders;
mod model;
mod passwords;
mod repo;
mod service;
mod tokens;

pub use model::{AccountRow, MemberRole, Membership, SessionRow, UserRow};
pub use passwords::Passwords;
pub use service::{Accounts, NewAccountEffect, NewSession, NewUser, Origin, SignedIn, Viewer};
pub use tokens::{SigningKey, TokenSettings, Tokens};
