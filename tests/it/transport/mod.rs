//! The transports and the server, over real sockets.

mod cors;
mod guard;
mod headers;
mod http;
mod lifecycle;
mod operations;
mod probe;
mod protocol;
mod proxies;
mod raw_http;
mod sessions;
