//! Rows of a database, seen past the application.

use std::time::Duration;

use diesel::{
    QueryableByName,
    sql_types::{Jsonb, Text},
};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use loquent::{domains::conversations::MessageRow, platform::ids::Id};
use serde_json::Value;
use uuid::Uuid;

use super::db::TestDb;

#[derive(QueryableByName)]
struct Rows {
    #[diesel(sql_type = Jsonb)]
    rows: Value,
}

/// A session of the test's own.
pub async fn connect(url: &str) -> AsyncPgConnection {
    AsyncPgConnection::establish(url).await.unwrap()
}

/// The rows of a query, each as an object.
pub async fn rows(conn: &mut AsyncPgConnection, query: &str) -> Vec<Value> {
    let sql = format!("SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]') AS rows FROM ({query}) r");
    let rows: Rows = diesel::sql_query(sql).get_result(conn).await.unwrap();
    serde_json::from_value(rows.rows).unwrap()
}

/// The first row of a query, in a session of its own.
pub async fn row(url: &str, query: &str) -> Value {
    let mut found = rows(&mut connect(url).await, query).await;
    assert!(!found.is_empty(), "no row: {query}");
    found.swap_remove(0)
}

/// Waits until a query finds a row, and returns it.
pub async fn row_when(url: &str, limit: Duration, query: &str) -> Value {
    let mut conn = connect(url).await;
    let mut polls = tokio::time::interval(Duration::from_millis(20));
    let search = async {
        loop {
            polls.tick().await;
            if let Some(row) = rows(&mut conn, query).await.pop() {
                return row;
            }
        }
    };
    tokio::time::timeout(limit, search).await.unwrap_or_else(|_| panic!("no row in {limit:?}: {query}"))
}

/// Runs statements, in a session of its own.
pub async fn execute(url: &str, sql: &str) {
    connect(url).await.batch_execute(sql).await.unwrap();
}

/// The database's id of a message.
pub fn message_uuid(id: &str) -> Uuid {
    Id::<MessageRow>::parse(id).unwrap().0
}

/// An answer as it is stored, with its run.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub status: String,
    pub text: String,
    pub reasoning: String,
    /// Number of the terminal event.
    pub sequence: i64,
    /// In micro-credits.
    pub charged: Option<i64>,
    pub usage_source: Option<String>,
}

/// Reads an answer.
pub async fn stored(conn: &mut AsyncPgConnection, message_id: &str) -> Stored {
    let query = format!(
        "SELECT m.status, m.stream_sequence, m.parts, g.credits_charged, g.usage_source \
           FROM messages m JOIN generations g ON g.message_id = m.id WHERE m.id = '{}'",
        message_uuid(message_id)
    );
    let row = rows(conn, &query).await.pop().unwrap();
    let part = |kind: &str| {
        let parts = row["parts"].as_array().unwrap();
        let text = parts.iter().find(|part| part["type"] == kind).map(|part| part["text"].as_str().unwrap());
        text.unwrap_or_default().to_owned()
    };
    Stored {
        status: row["status"].as_str().unwrap().to_owned(),
        text: part("text"),
        reasoning: part("reasoning"),
        sequence: row["stream_sequence"].as_i64().unwrap(),
        charged: row["credits_charged"].as_i64(),
        usage_source: row["usage_source"].as_str().map(str::to_owned),
    }
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

impl TestDb {
    /// Runs statements without a result.
    pub async fn execute(&self, sql: &str) {
        connect(&self.url).await.batch_execute(sql).await.unwrap();
    }

    /// The rows of a query with one column named `line`.
    pub async fn lines(&self, sql: &str) -> Vec<String> {
        let rows = diesel::sql_query(sql).load::<Line>(&mut connect(&self.url).await).await.unwrap();
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
}
