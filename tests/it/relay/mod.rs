//! The rules of Relay: objects by id, and lists by cursor.

mod connections;
mod nodes;
