//! From a message to its settled answer.

mod abandoned;
pub mod cancel;
mod changed;
mod context;
mod crash;
pub mod fed;
mod lease;
pub mod outage;
mod resume;
mod shutdown;
mod streams;
mod turn;
