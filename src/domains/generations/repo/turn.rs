//! The three statements of a turn. Each is one round trip and commits as a whole, so a crash leaves either all of
//! it or nothing; that is why they are written as SQL and touch the tables of several domains.

mod accept;
mod finish;
mod read;
mod title;

use diesel::QueryResult;
use serde::Deserialize;

pub use accept::{Acceptance, Accepted, NewTurn, NewUserMessage, accept_turn};
pub use finish::{Ending, Settled, finish_turn};
pub use read::{Asked, Context, Follows, read_turn};
pub use title::{NewTitleRun, accept_title};

fn read_json<T: for<'de> Deserialize<'de>>(value: serde_json::Value) -> QueryResult<T> {
    T::deserialize(value).map_err(|error| diesel::result::Error::DeserializationError(error.into()))
}
