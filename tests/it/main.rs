//! The tests of the whole product, in one binary. What only unit tests can see is tested beside the code.
#![recursion_limit = "256"]
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "all of this is test code, which clippy only knows of the test functions themselves"
)]

mod accounts;
mod admission;
mod architecture;
mod budgets;
mod catalog;
mod config;
mod conversations;
mod crash_points;
mod credits;
mod cron;
mod dropped_futures;
mod embedded;
mod engine_contract;
mod error_codes;
mod flights;
mod generations;
mod guard;
mod inputs;
mod jobs;
mod leaks;
mod live;
mod migrations;
mod ops;
mod providers;
mod quotas;
mod rates;
mod relay;
mod replicas;
mod sdl;
mod subscriptions;
mod support;
mod transport;
mod two_tenants;
