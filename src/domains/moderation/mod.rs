//! Whether what people bring may be sent to a model.
//!
//! There is one way to a model: a provider wants an [`Allowed`] beside the hold that pays, and only [`Moderation::check`]
//! gives one. It is asked once for a turn, after everything that costs nothing has been decided and before anything is
//! stored or held, outside of transactions and without a connection. Who does not answer in time, or fails, allows nothing.
//!
//! Today everybody is served by [`AllowsAll`]. What judges by rules is another [`Moderator`], given to the application where
//! it is started.

mod model;
mod service;

pub use model::{Passage, Submission, Verdict};
pub use service::{Allowed, AllowsAll, Moderation, Moderator};
