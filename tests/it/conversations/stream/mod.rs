//! The log of a conversation as its watchers get it: every change, once and in order, from wherever they go on.

mod access;
mod elsewhere;
mod histories;
mod races;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{created, tree, update};
use crate::support::{
    app::TestApp,
    client::Client,
    provider::Script,
    ws::{Event, Socket, Subscription},
};

const STREAM: &str = "subscription($id: ID!, $after: Int) {
    conversationStream(conversationId: $id, after: $after) {
        __typename conversationId sequence
        ... on ConversationSnapshot { conversation { id title messageCount } }
        ... on ConversationUpdated { conversation { id title } }
        ... on MessageUpdated { message { id text role } }
        ... on MessageDeleted { messageId }
    }
}";

/// Room for a watcher from every place of a log.
const ROOMY: &str = "[limits]\noperations_per_socket = 100\n";

/// What an entry of the log is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Snapshot,
    Conversation,
    Message(String),
    Deleted(String),
}

pub async fn watch(socket: &Socket, conversation: &str, after: Option<usize>) -> Subscription {
    socket.subscribe(STREAM, json!({ "id": conversation, "after": after })).await
}

/// The next event as it came.
async fn next_raw(watch: &mut Subscription) -> Value {
    match watch.next().await {
        Event::Next(event) if event["errors"].is_null() => event["data"]["conversationStream"].clone(),
        other => panic!("{other:?}"),
    }
}

/// Sequence and content of the next event.
pub async fn next(watch: &mut Subscription) -> (usize, Entry) {
    let event = next_raw(watch).await;
    let id = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{event}")).to_owned();
    let entry = match event["__typename"].as_str().unwrap() {
        "ConversationSnapshot" => Entry::Snapshot,
        "ConversationUpdated" => Entry::Conversation,
        "MessageUpdated" => Entry::Message(id(&event["message"]["id"])),
        "MessageDeleted" => Entry::Deleted(id(&event["messageId"])),
        other => panic!("{other}"),
    };
    (usize::try_from(event["sequence"].as_u64().unwrap()).unwrap(), entry)
}

/// One conversation that is changed step by step, what its log should be, and somebody who watches from the beginning.
struct Story {
    app: TestApp,
    person: Client,
    socket: Socket,
    watch: Subscription,
    conversation: String,
    /// The log, the entry numbered 1 first.
    log: Vec<Entry>,
    /// Messages that are there, with the one that each follows.
    parents: BTreeMap<String, Option<String>>,
    answers: Vec<String>,
    steps: usize,
}

impl Story {
    async fn begin() -> Self {
        let app = TestApp::builder().credits("1000").settings(ROOMY).start().await;
        app.provider.always(Script::text("Yes indeed.", 2).usage(1, 1));
        let person = app.client.sign_up().await;
        let conversation = created(&person, "Begin").await;
        let socket = Socket::connect(&person).await;
        let mut watch = watch(&socket, &conversation, None).await;
        assert_eq!(next(&mut watch).await, (0, Entry::Snapshot));
        let (log, parents, answers) = Default::default();
        Self { app, person, socket, watch, conversation, log, parents, answers, steps: 0 }
    }

    async fn send(&mut self) {
        let text = format!("Message {}", self.steps);
        let turn = tree::send(&self.person, &self.conversation, None, &text).await;
        assert_eq!(turn["userErrors"], json!([]), "{turn}");
        let asked = turn["userMessage"]["id"].as_str().unwrap().to_owned();
        let parent = turn["userMessage"]["parent"]["id"].as_str().map(str::to_owned);
        self.parents.insert(asked.clone(), parent);
        self.log.push(Entry::Message(asked));
        self.answered(&turn).await;
    }

    async fn regenerate(&mut self, answer: &str) {
        let turn = tree::regenerate(&self.person, answer).await;
        assert_eq!(turn["userErrors"], json!([]), "{turn}");
        self.answered(&turn).await;
    }

    /// The rest of a turn: the answer, the conversation with its new head, and the end of the answer.
    async fn answered(&mut self, turn: &Value) {
        let answer = turn["assistantMessage"]["id"].as_str().unwrap().to_owned();
        let parent = turn["userMessage"]["id"].as_str().map(str::to_owned);
        self.parents.insert(answer.clone(), parent);
        self.answers.push(answer.clone());
        self.person.wait_for_end(&answer).await;
        let message = Entry::Message(answer);
        self.log.extend([message.clone(), Entry::Conversation, message]);
    }

    async fn rename(&mut self) {
        let title = format!("Title {}", self.steps);
        let payload = update(&self.person, &self.conversation, json!({ "title": title })).await;
        assert_eq!(payload["userErrors"], json!([]));
        self.log.push(Entry::Conversation);
    }

    async fn select(&mut self, message: &str) {
        assert_eq!(tree::select(&self.person, message).await["userErrors"], json!([]));
        self.log.push(Entry::Conversation);
    }

    async fn edit(&mut self, message: &str) {
        let text = format!("Edited {}", self.steps);
        assert_eq!(tree::edit(&self.person, message, &text).await["userErrors"], json!([]));
        self.log.push(Entry::Message(message.to_owned()));
    }

    async fn remove(&mut self, message: &str) {
        assert_eq!(tree::remove(&self.person, message).await["deletedId"], message);
        let gone: Vec<_> = self.parents.keys().filter(|one| self.follows(one, message)).cloned().collect();
        self.parents.retain(|one, _| !gone.contains(one));
        self.answers.retain(|one| !gone.contains(one));
        self.log.extend([Entry::Deleted(message.to_owned()), Entry::Conversation]);
    }

    fn follows(&self, message: &str, above: &str) -> bool {
        let mut next = Some(message.to_owned());
        while let Some(id) = next {
            if id == above {
                return true;
            }
            next = self.parents.get(&id).cloned().flatten();
        }
        false
    }

    /// The watcher from the beginning gets what has happened since it was asked last, which was `before` entries ago.
    async fn expect_live(&mut self, before: usize) {
        for place in before..self.log.len() {
            let expected = (place + 1, self.log[place].clone());
            assert_eq!(next(&mut self.watch).await, expected, "after {} steps", self.steps);
        }
        self.steps += 1;
    }

    /// Whoever goes on from `after` gets exactly the rest, with what is gone as gone.
    async fn resume(&self, after: usize) -> Subscription {
        let mut watch = watch(&self.socket, &self.conversation, Some(after)).await;
        for (place, entry) in self.log.iter().enumerate().skip(after) {
            let entry = match entry {
                Entry::Message(id) if !self.parents.contains_key(id) => Entry::Deleted(id.clone()),
                entry => entry.clone(),
            };
            assert_eq!(next(&mut watch).await, (place + 1, entry), "from {after}");
        }
        watch
    }
}
