//! The transports and the server, over real sockets.

mod guard;
mod http;
mod lifecycle;
mod operations;
pub mod probe;
mod protocol;
mod sessions;
