//! The PostgreSQL that comes with the product, as a process among processes.

mod lifecycle;
pub mod owner;
mod selection;
mod shared_cluster;
