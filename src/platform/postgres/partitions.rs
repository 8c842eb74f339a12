//! Monthly partitions, made ahead of time.

use diesel::QueryResult;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::statement::statement;

/// Creates the partitions of this month and the next two. Repeating it, also from several processes at once, changes
/// nothing.
pub async fn ensure(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    statement("SELECT ensure_month_partitions('messages', 2)").execute(conn).await.map(drop)
}
