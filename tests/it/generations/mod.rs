//! From a message to its settled answer.

mod abandoned;
pub mod cancel;
mod changed;
mod context;
mod crash;
pub mod fed;
mod lease;
mod moderation;
mod one_shot;
pub mod outage;
mod resume;
mod retention;
mod shutdown;
mod streams;
mod turn;
