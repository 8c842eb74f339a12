//! What a server says about itself and about our connection to it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{QueryResult, QueryableByName, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio::time::Instant;

use super::statement::statement;

/// Seen over one connection.
#[derive(Debug, Clone)]
pub struct Facts {
    /// As people write it, such as `17.2 (Debian 17.2-1)`.
    pub version: String,
    pub major: i32,
    pub is_encrypted: bool,
    /// The real clock of the server, which tests do not move.
    pub server_time: DateTime<Utc>,
    /// Connections that the server allows, those for superusers included.
    pub max_connections: i32,
    /// Connections that it has.
    pub used_connections: i32,
    /// Round trip of the question.
    pub latency: Duration,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = sql_types::Text)]
    version: String,
    #[diesel(sql_type = sql_types::Integer)]
    major: i32,
    #[diesel(sql_type = sql_types::Bool)]
    is_encrypted: bool,
    #[diesel(sql_type = sql_types::Timestamptz)]
    server_time: DateTime<Utc>,
    #[diesel(sql_type = sql_types::Integer)]
    max_connections: i32,
    #[diesel(sql_type = sql_types::Integer)]
    used_connections: i32,
}

impl Facts {
    /// Asks in one statement.
    pub async fn read(conn: &mut AsyncPgConnection) -> QueryResult<Self> {
        // loquent_now() is not there before the migrations are.
        const SQL: &str = "\
            SELECT current_setting('server_version') AS version, \
                   current_setting('server_version_num')::int / 10000 AS major, \
                   coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS is_encrypted, \
                   statement_timestamp() AS server_time, \
                   current_setting('max_connections')::int AS max_connections, \
                   (SELECT count(*)::int FROM pg_stat_activity WHERE datid IS NOT NULL) AS used_connections";
        let asked = Instant::now();
        let row = statement(SQL).get_result::<Row>(conn).await?;
        let Row { version, major, is_encrypted, server_time, max_connections, used_connections } = row;
        let latency = asked.elapsed();
        Ok(Self { version, major, is_encrypted, server_time, max_connections, used_connections, latency })
    }
}
