//! The transports and the server, over real sockets.

mod codes;
mod compression;
mod cors;
mod drain;
mod flood;
mod guard;
mod headers;
mod http;
mod idle;
mod lifecycle;
mod operations;
mod prefer;
mod probe;
mod protocol;
mod proxies;
mod raw_http;
mod sessions;
mod sse;
