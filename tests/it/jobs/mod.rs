//! The queue and its runner.

mod asleep;
mod command;
mod cost;
mod failures;
mod fairness;
mod fence;
mod kills;
mod poison;
mod queue;
mod silence;
mod stage;
mod takeover;
pub mod worker;
