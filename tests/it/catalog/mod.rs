//! The offer as data: what a file may say, what a change of it does, and what comes with the product.

mod apply;
mod command;
mod file;
mod front_door;
mod interface;
mod presets;
mod reload;
