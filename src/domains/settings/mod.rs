//! Settings of the platform: what an operator changes while everything runs, for all processes at once.
//!
//! Which there are, what they may be and what they are without a word stands in [`DEFINITIONS`]; the table has only what
//! differs. A change raises the epoch of the settings in its transaction, and every process reads them again within two
//! seconds. Readers ask memory ([`Settings::current`]), never the database. A stored value that this process cannot take,
//! such as a model that it does not have, counts as not stored.
//!
//! What a process needs to start, and every secret, is configuration (`crate::config`) and never a setting.

pub mod graphql;
mod model;
mod repo;
mod service;

pub use model::{BuiltIn, DEFINITIONS, Definition, Setting, Values};
pub use service::Settings;
