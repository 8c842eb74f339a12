//! From a message to its settled answer.

mod abandoned;
mod cancel;
mod changed;
mod crash;
pub mod fed;
mod lease;
mod outage;
mod resume;
mod shutdown;
mod streams;
mod turn;
