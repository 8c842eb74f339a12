//! Money: what is granted, held, charged and returned, and that the books agree whatever happens at the same time.

mod admission;
mod books;
mod charges;
mod checker;
mod concurrency;
mod hang_up;
mod idempotency;
mod ledger;
mod limits;
mod model;
mod prices;
mod reference;
