//! Loquent: the GraphQL backend for AI products. Each feature is one folder of [`domains`]; everything
//! else serves them.
#![recursion_limit = "256"]

pub mod app;
mod checks;
pub mod cli;
pub mod config;
pub mod domains;
pub mod error;
pub mod graphql;
pub mod jobs;
pub mod platform;
pub mod providers;
pub mod schema;
pub mod server;
mod upkeep;
