//! Rows of a database, seen past the application.

use std::time::Duration;

use diesel::{QueryableByName, sql_types::Jsonb};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use loquent::{domains::conversations::MessageRow, platform::ids::Id};
use serde_json::Value;
use uuid::Uuid;

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
