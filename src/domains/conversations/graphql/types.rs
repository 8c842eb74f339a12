//! Objects of conversations and messages.

use std::sync::Arc;

use async_graphql::{Context, Enum, Object, Result, SimpleObject};

use super::options::GenerationOptions;
use crate::{
    domains::{
        catalog::Catalog,
        conversations::{self, BranchPage, ConversationRow, MessageRole as Role, MessageRow},
        credits::graphql::{CreditBalance, Quota},
        generations::{Content, GenerationRow},
    },
    graphql::{
        Account, ContextExt, Message, Model, User,
        errors::{UserError, raise},
        null_boundary::semantic_non_null,
        pagination::{PageKey, bad_input, connection, decode_cursor, encode_cursor, page_size, row_limit},
        scalars::DateTime,
    },
    platform::ids::Id,
};

/// Thread of messages with a model, with people, or both; messages form a tree and `head` picks the branch shown.
#[derive(Clone)]
pub struct Conversation(pub Arc<ConversationRow>);

/// Thread of messages with a model, with people, or both; messages form a tree and `head` picks the branch shown.
#[Object]
impl Conversation {
    /// Id with the prefix `cnv_`.
    pub async fn id(&self) -> Id<ConversationRow> {
        self.0.id.into()
    }

    /// Account that owns it and pays for answers.
    #[graphql(directive = semantic_non_null::apply(vec![0]))]
    async fn account(&self, ctx: &Context<'_>) -> Result<Option<Account>> {
        let account = ctx.loaders().accounts.load_one(self.0.account_id).await.map_err(raise)?;
        Ok(account.map(Account::from))
    }

    /// Person who started it, or null when that person was removed.
    async fn created_by(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        Ok(ctx.loaders().users.load_one(self.0.created_by).await.map_err(raise)?.map(User))
    }

    /// Title, or null until one was given or made from the first message.
    async fn title(&self) -> Option<&str> {
        self.0.title.as_deref()
    }

    /// Instructions the model gets first, or null for none; null for readers it is hidden from.
    async fn system_prompt(&self) -> Option<&str> {
        self.0.system_prompt.as_deref()
    }

    /// Model that answers, or null for the default of the person.
    async fn model(&self, ctx: &Context<'_>) -> Option<Model> {
        ctx.handle::<Catalog>().find_model(self.0.model_key.as_deref()?).map(Model)
    }

    /// What answers are made with where a message wishes nothing else.
    async fn options(&self) -> GenerationOptions {
        self.0.options().into()
    }

    /// True when marked as a favourite.
    async fn is_starred(&self) -> bool {
        self.0.is_starred
    }

    /// When it was put away, or null.
    async fn archived_at(&self) -> Option<DateTime> {
        self.0.archived_at.map(DateTime::from)
    }

    /// Labels, at most 20.
    async fn tags(&self) -> Vec<&str> {
        self.0.tags.iter().flatten().map(String::as_str).collect()
    }

    /// Last message of the branch shown, or null while empty.
    async fn head(&self, ctx: &Context<'_>) -> Result<Option<Message>> {
        let Some(id) = self.0.head_id else { return Ok(None) };
        Ok(ctx.loaders().messages.load_one(id).await.map_err(raise)?.map(Message::of_row))
    }

    /// One branch from its first message to its last, oldest first.
    async fn messages(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "At most this many from the start, 1 to 100; 25 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Cursor to read on from.")] after: Option<String>,
        #[graphql(desc = "At most this many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Cursor to read back from.")] before: Option<String>,
        #[graphql(desc = "Message whose branch is read; `head` when absent.")] head_id: Option<
            Id<MessageRow>,
        >,
    ) -> Result<MessageConnection> {
        if first.is_some() && last.is_some() {
            return Err(bad_input("Ask for `first` or for `last`, not for both.".to_owned()));
        }
        let is_from_end = last.is_some();
        let size = if is_from_end { page_size("last", last)? } else { page_size("first", first)? };
        let list = format!("messages.{}", self.0.id.simple());
        let place = |cursor: &Option<String>| {
            let read = |place: &str| place.parse::<i32>().ok().filter(|depth| *depth >= 0);
            cursor.as_deref().map(|cursor| decode_cursor(&list, cursor, read)).transpose()
        };
        let (after, before) = (place(&after)?, place(&before)?);
        let page = BranchPage {
            limit: row_limit(size),
            is_from_end,
            after,
            before,
            head_id: head_id.map(|id| id.0),
        };
        let key = PageKey { owner: self.0.id, page };
        let mut rows = ctx.loaders().branches.load_one(key).await.map_err(raise)?.unwrap_or_default();
        let has_more = rows.len() > size;
        if is_from_end {
            rows.drain(..rows.len().saturating_sub(size));
        } else {
            rows.truncate(size);
        }
        let (has_previous, has_next) =
            if is_from_end { (has_more, before.is_some()) } else { (after.is_some(), has_more) };
        let item = |row: Arc<MessageRow>| {
            let cursor = encode_cursor(&list, &row.depth.to_string());
            (Message::of_row(row), cursor)
        };
        Ok(MessageConnection::new(rows.into_iter().map(item).collect(), has_previous, has_next))
    }

    /// Messages in all branches.
    async fn message_count(&self) -> i32 {
        self.0.message_count
    }

    /// When it was started.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// Last message or change.
    async fn updated_at(&self) -> DateTime {
        self.0.updated_at.into()
    }
}

connection!(
    Conversation,
    ConversationConnection,
    ConversationEdge,
    "Page of a list of conversations.",
    "Place of one conversation in a list.",
    "The conversation."
);

connection!(
    Message,
    MessageConnection,
    MessageEdge,
    "Page of a list of messages.",
    "Place of one message in a list.",
    "The message."
);

/// A message, with its content where that is known already.
#[derive(Debug)]
pub struct MessageView {
    pub row: Arc<MessageRow>,
    /// `None`: it is being written, and its content is in the stream log.
    pub content: Option<Content>,
    /// Its run, where that is known already.
    pub generation: Option<Arc<GenerationRow>>,
}

/// Shared by the parts of the object `Message`.
pub type MessageRef = Arc<MessageView>;

impl Message {
    /// A message as its row has it.
    pub fn of_row(row: Arc<MessageRow>) -> Self {
        let content = row.status().is_terminal().then(|| Content::of_finished(&row));
        Self::from(Arc::new(MessageView { row, content, generation: None }))
    }

    /// A message as of one event of its log, with its run if that came along.
    pub fn at(row: MessageRow, content: Content, generation: Option<Arc<GenerationRow>>) -> Self {
        Self::from(Arc::new(MessageView { row: Arc::new(row), content: Some(content), generation }))
    }
}

/// Fields of a message that do not change while it is written.
#[derive(Clone)]
pub struct MessageCore(pub MessageRef);

#[Object]
impl MessageCore {
    /// Id with the prefix `msg_`.
    pub async fn id(&self) -> Id<MessageRow> {
        self.0.row.id.into()
    }

    /// Conversation it belongs to; null for a one-shot answer and for readers of a share link.
    async fn conversation(&self, ctx: &Context<'_>) -> Result<Option<Conversation>> {
        let Some(id) = self.0.row.conversation_id else { return Ok(None) };
        Ok(ctx.loaders().conversations.load_one(id).await.map_err(raise)?.map(Conversation))
    }

    /// Message it follows, or null for the first of a branch.
    async fn parent(&self, ctx: &Context<'_>) -> Result<Option<Message>> {
        let Some(id) = self.0.row.parent_id else { return Ok(None) };
        Ok(ctx.loaders().messages.load_one(id).await.map_err(raise)?.map(Message::of_row))
    }

    /// Alternatives with the same parent, itself included, oldest first.
    async fn siblings(&self, ctx: &Context<'_>) -> Result<Vec<Message>> {
        let found = ctx.loaders().siblings.load_one(self.0.row.id).await.map_err(raise)?;
        // One-shot answers have none.
        Ok(match found {
            Some(rows) => rows.into_iter().map(Message::of_row).collect(),
            None => vec![Message::from(Arc::clone(&self.0))],
        })
    }

    /// Who speaks.
    async fn role(&self) -> MessageRole {
        Role::parse(&self.0.row.role).into()
    }

    /// Person who wrote it; null when a model or the server did, or the person was removed.
    async fn author(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        let Some(id) = self.0.row.author_id else { return Ok(None) };
        Ok(ctx.loaders().users.load_one(id).await.map_err(raise)?.map(User))
    }

    /// When it was written or begun.
    async fn created_at(&self) -> DateTime {
        self.0.row.created_at.into()
    }

    /// Last correction, or null.
    async fn edited_at(&self) -> Option<DateTime> {
        self.0.row.edited_at.map(DateTime::from)
    }
}

/// Who speaks in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Role")]
pub enum MessageRole {
    /// A person.
    User,
    /// A model.
    Assistant,
    /// The server, for example about somebody joining.
    System,
}

/// State of any piece of work: a generation, a message being written, a task or a step of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "conversations::RunStatus")]
pub enum RunStatus {
    /// Accepted and waiting for its turn.
    Queued,
    /// Being worked on.
    Running,
    /// Stopped until somebody answers: a tool result or an approval is needed.
    Waiting,
    /// Finished as asked.
    Succeeded,
    /// Finished without the result that was asked for; the error says why.
    Failed,
    /// Stopped on request; what was produced is kept and only that is charged.
    Canceled,
    /// Cut off by a lost process or provider; what was produced is kept.
    Interrupted,
    /// Not finished before its deadline; held credits were returned.
    Expired,
}

/// Result of a change to a conversation.
#[derive(SimpleObject)]
pub struct ConversationPayload {
    /// The conversation after the change, or null when nothing changed.
    pub conversation: Option<Conversation>,
    /// Credits after the call, or null for members without sight of the balance.
    pub credit_balance: Option<CreditBalance>,
    /// Every limit the call drew on, as it stands now.
    pub quotas: Vec<Quota>,
    /// What the caller can put right; empty on success.
    pub user_errors: Vec<UserError>,
}

/// Result of a change to a message.
#[derive(SimpleObject)]
pub struct MessagePayload {
    /// The message after the change, or null when nothing changed.
    pub message: Option<Message>,
    /// What the caller can put right; empty on success.
    pub user_errors: Vec<UserError>,
}
