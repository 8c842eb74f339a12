//! Plans, their periods and what they grant: as time goes on, as plans change, in a crowd and through crashes.

mod cases;
mod crowd;
pub mod helper;
mod killed;
mod ledgers;
mod stage;
