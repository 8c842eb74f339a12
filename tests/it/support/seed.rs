//! What a test puts into its database, and reads from it, past the application.

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

    /// Appends finished messages to a conversation of this person, questions and answers in turn, until it has `count`.
    pub async fn fill_conversation(&self, conversation: Uuid, count: usize) {
        let stamp = Uuid::now_v7().to_string();
        let (time, unique) = (&stamp[..13], &stamp[14..18]);
        let id =
            |number: &str| format!("('{time}-{unique}-8000-' || lpad(to_hex({number} + 1), 12, '0'))::uuid");
        let (this, parent) = (id("n"), id("n - 1"));
        self.execute(&format!(
            "WITH c AS (SELECT * FROM conversations WHERE id = '{conversation}'),
             added AS (
               INSERT INTO messages (id, account_id, conversation_id, parent_id, role, author_id, status, parts)
               SELECT {this}, c.account_id, c.id, CASE WHEN n = c.message_count THEN c.head_id ELSE {parent} END,
                      CASE n % 2 WHEN 0 THEN 'user' ELSE 'assistant' END,
                      CASE n % 2 WHEN 0 THEN c.created_by END, 'succeeded',
                      jsonb_build_array(jsonb_build_object('type', 'text', 'text', 'Message ' || n))
                 FROM c, generate_series(c.message_count, {count} - 1) n RETURNING id)
             UPDATE conversations SET head_id = (SELECT id FROM added ORDER BY id DESC LIMIT 1), message_count = {count}
              WHERE id = '{conversation}'"
        ))
        .await;
    }
}
