//! Plans, their periods and what they grant: as time goes on, as plans change, in a crowd and through crashes.

mod adjustments;
mod cases;
mod commands;
mod crowd;
pub mod helper;
mod house;
mod killed;
mod ledgers;
mod stage;
