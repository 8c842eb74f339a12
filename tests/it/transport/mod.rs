//! The transports and the server, over real sockets.

mod codes;
mod compression;
mod drain;
mod flood;
mod guard;
mod http;
mod idle;
mod lifecycle;
mod operations;
mod prefer;
mod probe;
mod protocol;
mod sessions;
mod sse;
