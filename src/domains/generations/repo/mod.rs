//! Queries of runs and of the stream log.

mod generations;
mod log;
mod turn;

pub use generations::*;
pub use log::*;
pub use turn::*;
