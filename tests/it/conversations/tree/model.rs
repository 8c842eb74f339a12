//! Random histories of a conversation beside a tree in plain Rust. After each step the branch, the alternatives and the
//! counts agree, and what the provider received is exactly the branch.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{branch, edit, regenerate, remove, select, send, sent};
use crate::support::{app::TestApp, client::Client, provider::Script, three_processes::rounds};

/// A message of the model.
#[derive(Debug, Clone)]
struct Node {
    parent: Option<String>,
    text: String,
    is_answer: bool,
    /// Of its making.
    number: usize,
}

/// The tree in plain Rust.
#[derive(Debug, Default)]
struct Tree {
    nodes: BTreeMap<String, Node>,
    head: Option<String>,
    made: usize,
}

impl Tree {
    fn add(&mut self, id: &Value, parent: Option<String>, text: &str, is_answer: bool) -> String {
        let id = id.as_str().unwrap().to_owned();
        self.made += 1;
        let node = Node { parent, text: text.to_owned(), is_answer, number: self.made };
        assert!(self.nodes.insert(id.clone(), node).is_none());
        self.head = Some(id.clone());
        id
    }

    /// From the first message to this one.
    fn path(&self, last: Option<&String>) -> Vec<String> {
        let mut path = Vec::new();
        let mut next = last;
        while let Some(id) = next {
            path.push(id.clone());
            next = self.nodes[id].parent.as_ref();
        }
        path.reverse();
        path
    }

    fn texts(&self, last: Option<&String>) -> Vec<String> {
        self.path(last).iter().map(|id| self.nodes[id].text.clone()).collect()
    }

    fn follows(&self, id: &str, above: &str) -> bool {
        self.path(Some(&id.to_owned())).iter().any(|one| one == above)
    }

    fn newest(&self, among: impl Fn(&str) -> bool) -> Option<String> {
        let ids = self.nodes.iter().filter(|(id, _)| among(id));
        ids.max_by_key(|(_, node)| node.number).map(|(id, _)| id.clone())
    }

    fn remove(&mut self, id: &str) {
        let gone: Vec<String> = self.nodes.keys().filter(|one| self.follows(one, id)).cloned().collect();
        let parent = self.nodes[id].parent.clone();
        let was_shown = self.head.as_ref().is_some_and(|head| gone.contains(head));
        self.nodes.retain(|one, _| !gone.contains(one));
        if was_shown {
            self.head = parent.or_else(|| self.newest(|_| true));
        }
    }

    fn siblings(&self, id: &str) -> Vec<String> {
        let parent = &self.nodes[id].parent;
        let mut found: Vec<_> = self.nodes.iter().filter(|(_, node)| node.parent == *parent).collect();
        found.sort_by_key(|(_, node)| node.number);
        found.into_iter().map(|(id, _)| id.clone()).collect()
    }

    fn any(&self, rng: &mut StdRng, among: impl Fn(&Node) -> bool) -> Option<String> {
        let ids: Vec<_> = self.nodes.iter().filter(|(_, node)| among(node)).map(|(id, _)| id).collect();
        (!ids.is_empty()).then(|| ids[rng.random_range(0..ids.len())].clone())
    }
}

/// One person, one conversation, and what it should be.
struct Story {
    app: TestApp,
    person: Client,
    conversation: String,
    tree: Tree,
    turns: usize,
}

impl Story {
    /// Takes over a turn that was sent after `parent`.
    async fn took(&mut self, turn: &Value, parent: Option<String>, text: Option<&str>) {
        assert_eq!(turn["userErrors"], json!([]), "{turn}");
        let asked = match text {
            Some(text) => self.tree.add(&turn["userMessage"]["id"], parent, text, false),
            None => parent.unwrap(),
        };
        assert_eq!(turn["userMessage"]["id"], asked.as_str());
        let answer = turn["assistantMessage"]["id"].as_str().unwrap().to_owned();
        assert_eq!(turn["assistantMessage"]["parent"]["id"], asked.as_str());
        self.person.wait_for_end(&answer).await;
        let expected = self.tree.texts(Some(&asked));
        assert_eq!(sent(&self.app), expected, "the provider received another branch");
        self.tree.add(&json!(answer), Some(asked), &format!("Answer {}", self.turns), true);
        self.turns += 1;
        self.app.provider.always(Script::text(&format!("Answer {}", self.turns), 2).usage(1, 1));
    }

    async fn step(&mut self, rng: &mut StdRng) -> &'static str {
        let text = format!("Message {}", self.tree.made);
        match rng.random_range(0..10) {
            0..3 => {
                let turn = send(&self.person, &self.conversation, None, &text).await;
                self.took(&turn, self.tree.head.clone(), Some(&text)).await;
                "sent"
            }
            3..5 => {
                let parent = self.tree.any(rng, |_| true).filter(|_| rng.random_range(0..6) > 0);
                let turn = send(&self.person, &self.conversation, Some(json!(parent)), &text).await;
                self.took(&turn, parent, Some(&text)).await;
                "branched"
            }
            5..7 => {
                let Some(answer) = self.tree.any(rng, |node| node.is_answer) else { return "nothing" };
                let turn = regenerate(&self.person, &answer).await;
                let parent = self.tree.nodes[&answer].parent.clone();
                self.took(&turn, parent, None).await;
                "regenerated"
            }
            7 => {
                let Some(id) = self.tree.any(rng, |_| true) else { return "nothing" };
                let payload = select(&self.person, &id).await;
                assert_eq!(payload["userErrors"], json!([]));
                self.tree.head = self.tree.newest(|one| self.tree.follows(one, &id));
                "selected"
            }
            8 => {
                let Some(id) = self.tree.any(rng, |node| !node.is_answer) else { return "nothing" };
                let payload = edit(&self.person, &id, &text).await;
                assert_eq!(payload["message"]["text"], text, "{payload}");
                self.tree.nodes.get_mut(&id).unwrap().text = text;
                "edited"
            }
            _ => {
                // Not too high up, so that there is something left.
                let Some(id) = self.tree.any(rng, |_| true) else { return "nothing" };
                let below = self.tree.nodes.keys().filter(|one| self.tree.follows(one, &id)).count();
                if below > 6 {
                    return "nothing";
                }
                assert_eq!(remove(&self.person, &id).await["deletedId"], id.as_str());
                self.tree.remove(&id);
                "removed"
            }
        }
    }

    /// Branch, head, count and alternatives are those of the model.
    async fn compare(&self, rng: &mut StdRng) {
        let size = rng.random_range(1..8);
        let (conversation, ids) = branch(&self.person, &self.conversation, None, size).await;
        assert_eq!(ids, self.tree.path(self.tree.head.as_ref()));
        assert_eq!(conversation["head"]["id"], json!(self.tree.head));
        assert_eq!(conversation["messageCount"], self.tree.nodes.len());
        let Some(other) = self.tree.any(rng, |_| true) else { return };
        let (_, ids) = branch(&self.person, &self.conversation, Some(&other), size).await;
        assert_eq!(ids, self.tree.path(Some(&other)));
        let query = "query($id: ID!) { message(id: $id) { siblings { id } } }";
        let found =
            self.person.gql(query, json!({ "id": other })).await.data()["message"]["siblings"].clone();
        assert_eq!(found, self.tree.siblings(&other).iter().map(|id| json!({ "id": id })).collect::<Value>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_histories_agree_with_a_plain_tree() {
    let (seeds, steps) = (u64::try_from(rounds()).unwrap(), 40);
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..seeds {
        let app = TestApp::builder().credits("1000").start().await;
        let person = app.client.sign_up().await;
        app.provider.always(Script::text("Answer 0", 2).usage(1, 1));
        let conversation = super::super::created(&person, "Tree").await;
        let mut story = Story { app, person, conversation, tree: Tree::default(), turns: 0 };
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..steps {
            *done.entry(story.step(&mut rng).await).or_default() += 1;
            story.compare(&mut rng).await;
        }
        story.app.close().await;
    }
    for kind in ["sent", "branched", "regenerated", "selected", "edited", "removed"] {
        assert!(done.get(kind).is_some_and(|count| *count > 0), "{kind} was never tried");
    }
    println!("tree model seeds={seeds} n={} {done:?} ok", seeds * steps);
}
