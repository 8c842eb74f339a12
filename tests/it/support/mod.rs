//! What the tests share: the application, its database, its clients, and the outside world.
#![allow(dead_code, reason = "each area uses its own part")]

pub mod app;
pub mod binary;
pub mod catalog;
pub mod client;
pub mod cluster;
pub mod db;
pub mod feed;
pub mod processes;
pub mod provider;
pub mod proxy;
pub mod reader;
pub mod restart;
pub mod role;
pub mod rows;
pub mod seed;
pub mod sse;
pub mod three_processes;
pub mod traffic;
pub mod ws;
