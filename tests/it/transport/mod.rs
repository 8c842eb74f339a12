mod guard;
mod http;
mod lifecycle;
mod operations;
mod probe;
mod protocol;
