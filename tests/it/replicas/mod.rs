//! Several processes on one database, and what becomes of their work when one of them, or the database, goes away.

mod commands;
mod database_restart;
mod dead_runner;
mod fenced;
mod many_runs;
mod onlookers;
mod outage;
mod resumed;
mod stops;
mod together;
