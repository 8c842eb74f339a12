//! Rows that tests write and read past the application.

use diesel::{QueryableByName, sql_types};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use uuid::Uuid;

use super::db::TestDb;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = sql_types::Text)]
    line: String,
}

impl TestDb {
    /// Runs statements without a result.
    pub async fn execute(&self, sql: &str) {
        self.conn().await.batch_execute(sql).await.unwrap();
    }

    /// The rows of a query with one column named `line`.
    pub async fn lines(&self, sql: &str) -> Vec<String> {
        let rows = diesel::sql_query(sql).load::<Line>(&mut self.conn().await).await.unwrap();
        rows.into_iter().map(|row| row.line).collect()
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

    async fn conn(&self) -> AsyncPgConnection {
        AsyncPgConnection::establish(&self.url).await.unwrap()
    }
}
