//! Conversations and their messages: what people read.
//!
//! A conversation belongs to an account and is private to the person who started it. Its messages form a tree by
//! parent, `head` is the last one of the branch shown. This domain writes conversations; messages come into being
//! with a turn, which the domain `generations` writes in one statement. Every change is an entry in the log of its
//! conversation, written by the same statement; [`watch`] reads it.

pub mod graphql;
pub mod loaders;
mod model;
mod options;
mod repo;
mod rules;
mod service;
mod tree;
mod watch;

pub use model::{ConversationRow, MessageRole, MessageRow, Part, RunStatus, TitleState};
pub use options::AnswerOptions;
pub use repo::{
    BranchPage, ConversationChoice, ConversationPage, ask_for_title_in_tx, find_conversation,
    find_exchange_unscoped, give_title_in_tx, prune_events,
};
pub use rules::{require_model, require_parts, require_system_prompt, require_tags};
pub use service::{Begun, ConversationChanges, Conversations, NewConversation, Parts};
pub use tree::{Place, Spine};
pub use watch::{ConversationEvent, ConversationWatch, Happened};
