//! The transports and the server, over real sockets.

mod accept;
mod csrf;
mod get;
mod guard;
mod http;
mod lifecycle;
mod operations;
mod persisted;
mod probe;
mod protocol;
mod sessions;
