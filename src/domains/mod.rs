//! The features, one folder each. A folder reaches others only through the front door in their `mod.rs`.

pub mod accounts;
pub mod catalog;
pub mod conversations;
pub mod credits;
pub mod generations;
pub mod moderation;
pub mod settings;
pub mod subscriptions;
