//! Runs, sending and watching in the API.

mod events;
mod inputs;
mod mutation;
mod query;
mod subscription;
mod types;

pub use mutation::GenerationsMutation;
pub use query::GenerationsQuery;
pub use subscription::GenerationsSubscription;
pub use types::{Generation, GenerationPayload, MessageRun, SendMessagePayload};
