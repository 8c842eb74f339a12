//! Money: what is granted, held, charged and returned, and that the books agree whatever happens at the same time.

mod admission;
pub mod books;
mod charges;
mod checker;
mod concurrency;
mod crowd;
mod edges;
mod hang_up;
mod idempotency;
mod ledger;
mod limits;
mod model;
mod presets;
mod prices;
mod reference;
mod three_processes;

pub use books::{is_full_size, number, rows, wait_for_zero};
