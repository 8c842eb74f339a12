//! Conversations and messages in the API.

mod events;
mod inputs;
mod mutation;
mod query;
mod subscription;
mod types;

pub use inputs::{MessagePartInput, texts};
pub use mutation::ConversationsMutation;
pub use query::ConversationsQuery;
pub use subscription::ConversationsSubscription;
pub use types::{
    AccountConversations, Conversation, ConversationPayload, MessageCore, MessageRef, MessageView, RunStatus,
};
