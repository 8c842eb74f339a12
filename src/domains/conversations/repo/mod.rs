//! Queries of conversations and messages. Every read takes the viewer: a conversation is open to the person who
//! started it, as long as that person is a member of its account.

mod conversations;
mod log;
mod messages;
mod pages;
mod titles;
mod tree;

pub use conversations::*;
pub use log::{EntryKind, LogEntry, LogPage, WatchedConversations, prune_events, read_log};
pub use messages::list_messages;
pub use pages::{
    BranchPage, ConversationChoice, ConversationPage, list_branches, list_conversation_pages, list_siblings,
};
pub use titles::{ask_for_title_in_tx, find_exchange_unscoped, give_title_in_tx};
pub use tree::{delete_message, edit_message, select_branch};
