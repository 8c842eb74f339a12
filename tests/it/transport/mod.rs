//! The transports and the server, over real sockets.

mod codes;
mod drain;
mod flood;
mod guard;
mod http;
mod idle;
mod lifecycle;
mod operations;
mod probe;
mod protocol;
mod sessions;
