//! The transports and the server, over real sockets.

mod compression;
mod guard;
mod http;
mod lifecycle;
mod operations;
mod prefer;
mod probe;
mod protocol;
mod sessions;
