//! From a message to its settled answer.

mod turn;
