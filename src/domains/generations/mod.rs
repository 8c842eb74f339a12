//! The run of a model, from the message that asks for it to the settled answer.
//!
//! A turn is three statements: one reads what is needed, one accepts (message, answer, run and hold together or not
//! at all), one finishes (text, status and settlement together). Between the last two, the text goes through the
//! stream log: [`log`] commits the chunks of all streams of the process together and only then delivers them, so
//! what a client has seen is always in the database. Readers ([`watch`]) follow one path, whether the answer is
//! written here, elsewhere, by nobody any more, or is finished.
//!
//! A run lives by the lease of its process. When that ends, [`sweep`] on any process ends the run as interrupted and
//! charges for the committed text.

mod bounds;
mod changes;
mod engine;
mod follower;
pub mod graphql;
mod hub;
pub mod loaders;
mod log;
mod model;
mod patience;
mod prompt;
mod repo;
mod service;
mod sweep;
mod title;
mod watch;

pub use changes::{GenerationWatch, Watches};
pub use hub::{Hub, Signal};
pub use log::{LogSettings, LogWriter};
pub use model::{Content, Delta, Failure, FinishReason, Finished, GenerationRow, PartKind};
pub use repo::{Follows, prune_one_shots};
pub use service::{Canceled, GenerationSettings, Generations, Parts, Started, Turn, TurnRequest};
pub use title::{MakeTitle, Titles};
pub use watch::WatchEvent;
