//! The queue and its runner.

mod queue;
mod stage;
