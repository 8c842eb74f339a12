//! Every place of the schema that takes an id, with an operation that fills it.

use loquent::{
    domains::{
        accounts::AccountRow,
        catalog::Plan,
        conversations::{ConversationRow, MessageRow},
        generations::GenerationRow,
    },
    platform::ids::{Entity, Id},
};
use uuid::Uuid;

use super::tenant::Tenant;

/// One place where an id is taken, and an operation that fills it.
pub struct Case {
    pub place: &'static str,
    pub kind: Kind,
    operation: &'static str,
    /// Where the data of a success has something.
    pub success: &'static str,
}

impl Case {
    pub fn takes_every_type(&self) -> bool {
        self.place.starts_with("Query.node")
    }

    /// The operation, with the other ids that it names: those of the owner, and a conversation of who asks.
    pub fn operation(&self, owner: &Tenant, caller: &Tenant) -> String {
        let operation = self.operation.replace("ACCOUNT-ID", &owner.id(Kind::Account));
        let operation = operation.replace("PLAN-ID", &owner.id(Kind::Plan));
        operation.replace("OWN-CONVERSATION", &caller.id(Kind::Conversation))
    }

    /// Only administrators may do it, to whichever account.
    pub fn is_for_administrators(&self) -> bool {
        ["Mutation.adjustCredits", "Mutation.setAccountPlan"]
            .iter()
            .any(|field| self.place.starts_with(field))
    }
}

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Account,
    Conversation,
    Message,
    /// A message that a person wrote.
    Question,
    Generation,
    Plan,
}

impl Kind {
    /// Ids tell messages from conversations, and not who wrote one.
    pub fn of_objects(self) -> Self {
        if self == Self::Question { Self::Message } else { self }
    }

    pub fn name(self, uuid: Uuid) -> String {
        fn id<E: Entity>(uuid: Uuid) -> String {
            Id::<E>::new(uuid).to_string()
        }
        match self {
            Self::Account => id::<AccountRow>(uuid),
            Self::Conversation => id::<ConversationRow>(uuid),
            Self::Message | Self::Question => id::<MessageRow>(uuid),
            Self::Generation => id::<GenerationRow>(uuid),
            Self::Plan => id::<Plan>(uuid),
        }
    }
}

const NODE: &str = "query($id: ID!) { node(id: $id) { id ... on Account { name creditBalance { available } }
    ... on Conversation { title messages { nodes { text } } } ... on Message { text parent { text } }
    ... on Generation { message { text } charge { creditsCharged } } } }";
const NODES: &str =
    "query($id: ID!) { nodes(ids: [$id]) { id ... on Account { name creditBalance { available } }
    ... on Conversation { title messages { nodes { text } } } ... on Message { text parent { text } }
    ... on Generation { message { text } charge { creditsCharged } } } }";

/// A place that takes ids of every type.
const fn any(place: &'static str, kind: Kind, operation: &'static str, success: &'static str) -> Case {
    Case { place, kind, operation, success }
}

/// Those that remove something come last.
pub const CASES: [Case; 33] = [
    any("Query.node(id)", Kind::Account, NODE, "/node/id"),
    any("Query.node(id)", Kind::Conversation, NODE, "/node/messages/nodes/1/text"),
    any("Query.node(id)", Kind::Message, NODE, "/node/text"),
    any("Query.node(id)", Kind::Generation, NODE, "/node/message/text"),
    any("Query.nodes(ids)", Kind::Account, NODES, "/nodes/0/id"),
    any("Query.nodes(ids)", Kind::Conversation, NODES, "/nodes/0/title"),
    any("Query.nodes(ids)", Kind::Message, NODES, "/nodes/0/text"),
    any("Query.nodes(ids)", Kind::Generation, NODES, "/nodes/0/message/text"),
    Case {
        place: "Query.account(id)",
        kind: Kind::Account,
        operation: "query($id: ID!) { account(id: $id) { id name creditBalance { available } ledger { nodes { id } } } }",
        success: "/account/id",
    },
    Case {
        place: "Query.conversation(id)",
        kind: Kind::Conversation,
        operation: "query($id: ID!) { conversation(id: $id) { id title messages { nodes { text } } } }",
        success: "/conversation/messages/nodes/1/text",
    },
    Case {
        place: "Query.message(id)",
        kind: Kind::Message,
        operation: "query($id: ID!) { message(id: $id) { id text parent { text } } }",
        success: "/message/parent/text",
    },
    Case {
        place: "Query.generation(id)",
        kind: Kind::Generation,
        operation: "query($id: ID!) { generation(id: $id) { id message { text } charge { creditsCharged } } }",
        success: "/generation/message/text",
    },
    Case {
        place: "Subscription.messageStream(messageId)",
        kind: Kind::Message,
        operation: "subscription($id: ID!) { messageStream(messageId: $id) { sequence ... on MessageSnapshot { message { text } } } }",
        success: "/messageStream/message/text",
    },
    Case {
        place: "Subscription.conversationStream(conversationId)",
        kind: Kind::Conversation,
        operation: "subscription($id: ID!) { conversationStream(conversationId: $id) { sequence ... on ConversationSnapshot { conversation { title } } } }",
        success: "/conversationStream/conversation/title",
    },
    Case {
        place: "Subscription.generationChanged(generationId)",
        kind: Kind::Generation,
        operation: "subscription($id: ID!) { generationChanged(generationId: $id) { revision message { text } } }",
        success: "/generationChanged/message/text",
    },
    Case {
        place: "Subscription.creditBalanceChanged(accountId)",
        kind: Kind::Account,
        operation: "subscription($id: ID!) { creditBalanceChanged(accountId: $id) { available revision } }",
        success: "/creditBalanceChanged/available",
    },
    Case {
        place: "Subscription.quotaChanged(accountId)",
        kind: Kind::Account,
        operation: "subscription($id: ID!) { quotaChanged(accountId: $id) { meter used } }",
        success: "/quotaChanged/used",
    },
    Case {
        place: "Mutation.adjustCredits(input.accountId)",
        kind: Kind::Account,
        operation: "mutation($id: ID!, $key: String!) { adjustCredits(input: { accountId: $id, amount: \"1\", reason: \"Prize\", idempotencyKey: $key }) {
            adjustment { id } creditBalance { available } userErrors { code message field } } }",
        success: "/adjustCredits/adjustment/id",
    },
    Case {
        place: "Mutation.setAccountPlan(input.accountId)",
        kind: Kind::Account,
        operation: "mutation($id: ID!) { setAccountPlan(input: { accountId: $id, planId: \"PLAN-ID\", reason: \"Prize\" }) {
            account { id plan { key } } userErrors { code message field } } }",
        success: "/setAccountPlan/account/plan/key",
    },
    Case {
        place: "Mutation.setAccountPlan(input.planId)",
        kind: Kind::Plan,
        operation: "mutation($id: ID!) { setAccountPlan(input: { accountId: \"ACCOUNT-ID\", planId: $id, reason: \"Prize\" }) {
            account { id plan { key } } userErrors { code message field } } }",
        success: "/setAccountPlan/account/plan/key",
    },
    Case {
        place: "Mutation.createConversation(input.accountId)",
        kind: Kind::Account,
        operation: "mutation($id: ID!, $key: String!) { createConversation(input: { accountId: $id, idempotencyKey: $key }) {
            conversation { id } creditBalance { available } userErrors { code message field } } }",
        success: "/createConversation/conversation/id",
    },
    Case {
        place: "Mutation.updateConversation(input.conversationId)",
        kind: Kind::Conversation,
        operation: "mutation($id: ID!) { updateConversation(input: { conversationId: $id, title: \"Changed\" }) {
            conversation { id title } creditBalance { available } userErrors { code message field } } }",
        success: "/updateConversation/conversation/id",
    },
    Case {
        place: "Mutation.sendMessage(input.conversationId)",
        kind: Kind::Conversation,
        operation: "mutation($id: ID!, $key: String!) { sendMessage(input: { conversationId: $id, parts: [{ text: \"Hi\" }], idempotencyKey: $key }) {
            conversation { id } assistantMessage { id } creditBalance { available } userErrors { code message field } } }",
        success: "/sendMessage/assistantMessage/id",
    },
    Case {
        place: "Mutation.sendMessage(input.accountId)",
        kind: Kind::Account,
        operation: "mutation($id: ID!, $key: String!) { sendMessage(input: { accountId: $id, parts: [{ text: \"Hi\" }], idempotencyKey: $key }) {
            conversation { id } assistantMessage { id } creditBalance { available } userErrors { code message field } } }",
        success: "/sendMessage/assistantMessage/id",
    },
    Case {
        place: "Mutation.sendMessage(input.parentMessageId)",
        kind: Kind::Message,
        operation: "mutation($id: ID!, $key: String!) { sendMessage(input: { conversationId: \"OWN-CONVERSATION\", parentMessageId: $id,
            parts: [{ text: \"Hi\" }], idempotencyKey: $key }) {
            assistantMessage { id } creditBalance { available } userErrors { code message field } } }",
        success: "/sendMessage/assistantMessage/id",
    },
    Case {
        place: "Conversation.messages(headId)",
        kind: Kind::Message,
        operation: "query($id: ID!) { conversation(id: \"OWN-CONVERSATION\") { messages(headId: $id) { nodes { id text } } } }",
        success: "/conversation/messages/nodes/1/id",
    },
    Case {
        place: "Mutation.regenerateMessage(input.messageId)",
        kind: Kind::Message,
        operation: "mutation($id: ID!, $key: String!) { regenerateMessage(input: { messageId: $id, idempotencyKey: $key }) {
            conversation { id } assistantMessage { id } creditBalance { available } userErrors { code message field } } }",
        success: "/regenerateMessage/assistantMessage/id",
    },
    Case {
        place: "Mutation.generate(input.accountId)",
        kind: Kind::Account,
        operation: "mutation($id: ID!, $key: String!) { generate(input: { accountId: $id, turns: [{ user: [{ text: \"Hi\" }] }], idempotencyKey: $key }) {
            generation { id } creditBalance { available } userErrors { code message field } } }",
        success: "/generate/generation/id",
    },
    Case {
        place: "Mutation.selectBranch(input.id)",
        kind: Kind::Message,
        operation: "mutation($id: ID!) { selectBranch(input: { id: $id }) {
            conversation { id title } creditBalance { available } userErrors { code message field } } }",
        success: "/selectBranch/conversation/id",
    },
    Case {
        place: "Mutation.editMessage(input.messageId)",
        kind: Kind::Question,
        operation: "mutation($id: ID!) { editMessage(input: { messageId: $id, parts: [{ text: \"Changed\" }] }) {
            message { id text } userErrors { code message field } } }",
        success: "/editMessage/message/id",
    },
    Case {
        place: "Mutation.cancelGeneration(input.id)",
        kind: Kind::Generation,
        operation: "mutation($id: ID!) { cancelGeneration(input: { id: $id }) {
            generation { id } creditBalance { available } userErrors { code message field } } }",
        success: "/cancelGeneration/generation/id",
    },
    Case {
        place: "Mutation.deleteMessage(input.id)",
        kind: Kind::Message,
        operation: "mutation($id: ID!) { deleteMessage(input: { id: $id }) { deletedId userErrors { code message field } } }",
        success: "/deleteMessage/deletedId",
    },
    Case {
        place: "Mutation.deleteConversation(input.id)",
        kind: Kind::Conversation,
        operation: "mutation($id: ID!) { deleteConversation(input: { id: $id }) { deletedId userErrors { code message field } } }",
        success: "/deleteConversation/deletedId",
    },
];
