//! Conversations and messages in the API.

mod events;
mod inputs;
mod lists;
mod mutation;
mod options;
mod query;
mod subscription;
mod types;

pub use inputs::{MessagePartInput, texts};
pub use lists::AccountConversations;
pub use mutation::ConversationsMutation;
pub use options::GenerationOptionsInput;
pub use query::ConversationsQuery;
pub use subscription::ConversationsSubscription;
pub use types::{Conversation, ConversationPayload, MessageCore, MessageRef, MessageView, RunStatus};
