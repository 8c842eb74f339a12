//! Runs, sending and watching in the API.

mod events;
mod inputs;
mod message;
mod mutation;
mod query;
mod subscription;
mod types;

pub use message::MessageRun;
pub use mutation::GenerationsMutation;
pub use query::GenerationsQuery;
pub use subscription::GenerationsSubscription;
pub use types::{Generation, GenerationPayload, SendMessagePayload};
