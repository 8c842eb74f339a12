//! Queries of conversations and messages. Every read takes the viewer: a conversation is open to the person who
//! started it, as long as that person is a member of its account.

mod branch;
mod conversations;
mod tree;

pub use branch::{BranchPage, list_branches, list_messages, list_siblings};
pub use conversations::*;
pub use tree::{delete_message, edit_message, select_branch};
