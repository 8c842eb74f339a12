//! PostgreSQL: connections, statements, and the rooms of shared machinery (idempotency, replicas, hints,
//! cache epochs, revocations, what is watched, rate limits).

pub mod connect;
pub mod embedded;
pub mod epochs;
mod facts;
pub mod idempotency;
pub mod listen;
pub mod migrate;
pub mod news;
pub mod partitions;
pub mod pool;
pub mod rate_limits;
pub mod replicas;
pub mod revisions;
pub mod revocations;
pub mod statement;
mod tls;

pub use facts::Facts;
pub use pool::{Conn, Db, NoConnection};

diesel::define_sql_function! {
    /// The database's "now"; tests move it.
    #[sql_name = "loquent_now"]
    fn now() -> diesel::sql_types::Timestamptz;
}

/// The only row of a statement that writes, for `load(conn).await.and_then(only)`. Not `get_result`: that returns with the
/// first row, and a server that is going down may send it before it has committed. `load` waits for the end, after the commit.
pub fn only<T>(rows: Vec<T>) -> diesel::QueryResult<T> {
    rows.into_iter().next().ok_or(diesel::result::Error::NotFound)
}

/// What the database function `require_moved` says has moved on: the statement was about something that is not so any more.
/// The SQLSTATE of a raised exception is not part of Diesel's error, so it is known by its message.
pub fn moved_on(error: &diesel::result::Error) -> Option<&str> {
    let diesel::result::Error::DatabaseError(_, info) = error else { return None };
    info.message().strip_suffix(" has moved on")
}

diesel::define_sql_function! {
    #[sql_name = "pg_advisory_xact_lock"]
    fn advisory_lock_in_tx(key: diesel::sql_types::BigInt);
}

/// Waits until no other transaction holds the lock of this name; it is free again when this one ends.
pub async fn lock_in_tx(conn: &mut diesel_async::AsyncPgConnection, name: &str) -> diesel::QueryResult<()> {
    use diesel_async::RunQueryDsl;
    use sha2::Digest;
    let hash: [u8; 32] = sha2::Sha256::digest(name).into();
    let key = hash.iter().take(8).fold(0_i64, |key, byte| (key << 8) | i64::from(*byte));
    diesel::select(advisory_lock_in_tx(key)).execute(conn).await.map(drop)
}
