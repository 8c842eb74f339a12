//! What a test puts into its database, and reads from it, past the application.

use std::collections::BTreeMap;

use loquent::domains::conversations::{Place, Spine};
use uuid::Uuid;

use super::{db::TestDb, rows};

impl TestDb {
    /// Runs statements without a result.
    pub async fn execute(&self, sql: &str) {
        rows::execute(&self.url, sql).await;
    }

    /// Adds jobs past the application: a query for queue, name, payload, state, owner, attempts and their bound.
    pub async fn fill_jobs(&self, query: &str) {
        let columns = "queue, name, payload, state, owner_id, attempts, max_attempts";
        self.execute(&format!(
            "INSERT INTO jobs ({columns}, claimed_at) \
             SELECT queue, name, payload::jsonb, state, owner_id::uuid, attempts, max_attempts, loquent_now() \
               FROM ({query}) AS wanted ({columns})"
        ))
        .await;
    }

    /// The rows of a query with one column named `line`.
    pub async fn lines(&self, sql: &str) -> Vec<String> {
        let found = rows::rows(&mut rows::connect(&self.url).await, sql).await;
        found.iter().map(|row| row["line"].as_str().unwrap().to_owned()).collect()
    }

    /// Appends finished messages to a conversation of this person that is one branch, questions and answers in turn, until
    /// it has `count`.
    pub async fn fill_conversation(&self, conversation: Uuid, count: usize) {
        let known = self
            .lines(&format!(
                "SELECT id || ' ' || jump_depth AS line FROM messages WHERE conversation_id = '{conversation}' ORDER BY depth"
            ))
            .await;
        let mut branch: Vec<(Uuid, usize)> = known
            .iter()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(id, jump_depth)| (id.parse().unwrap(), jump_depth.parse().unwrap()))
            .collect();
        let mut rows = Vec::new();
        for n in branch.len()..count {
            let mut known = BTreeMap::new();
            let mut next = n.checked_sub(1);
            while let Some(depth) = next.filter(|_| known.len() < 4) {
                known.insert(i32::try_from(depth).unwrap(), branch[depth].0);
                next = (depth > 0).then(|| branch[depth].1);
            }
            let id = Uuid::now_v7();
            let (Place { parent_id, depth, jump_id, jump_depth }, _) = Spine::new(known).follow(id);
            branch.push((id, usize::try_from(jump_depth).unwrap()));
            let text = |id: Option<Uuid>| id.map_or("NULL".to_owned(), |id| format!("'{id}'"));
            let (parent, jump) = (text(parent_id), text(jump_id));
            rows.push(format!("('{id}'::uuid, {parent}::uuid, {depth}, {jump}::uuid, {jump_depth})"));
        }
        if rows.is_empty() {
            return;
        }
        self.execute(&format!(
            "WITH c AS (SELECT * FROM conversations WHERE id = '{conversation}'),
             n (id, parent_id, depth, jump_id, jump_depth) AS (VALUES {}),
             added AS (
               INSERT INTO messages (id, account_id, conversation_id, parent_id, depth, jump_id, jump_depth, role, author_id, status, parts)
               SELECT n.id, c.account_id, c.id, n.parent_id, n.depth, n.jump_id, n.jump_depth,
                      CASE n.depth % 2 WHEN 0 THEN 'user' ELSE 'assistant' END,
                      CASE n.depth % 2 WHEN 0 THEN c.created_by END, 'succeeded',
                      jsonb_build_array(jsonb_build_object('type', 'text', 'text', 'Message ' || n.depth))
                 FROM c, n)
             UPDATE conversations SET head_id = '{}', message_count = {count} WHERE id = '{conversation}'",
            rows.join(", "),
            branch[count - 1].0,
        ))
        .await;
    }
}
