//! The transports and the server, over real sockets.

mod accept;
mod bodies;
mod codes;
mod compression;
mod cors;
mod csrf;
mod drain;
pub mod flood;
mod get;
mod guard;
mod headers;
mod http;
mod idle;
mod lifecycle;
mod operations;
mod persisted;
mod prefer;
pub mod probe;
mod protocol;
mod proxies;
mod raw_http;
mod sessions;
mod sse;
