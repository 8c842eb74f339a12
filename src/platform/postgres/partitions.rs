//! Monthly partitions, made ahead of time.

use diesel::{QueryResult, QueryableByName, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::statement::statement;

/// Months beyond this one that must have a partition; with fewer somebody has to look.
pub const LEAST_AHEAD: i64 = 2;

/// Creates the partitions of this month and the next three, so that [`LEAST_AHEAD`] holds over the end of a month too.
/// Repeating it, also from several processes at once, changes nothing.
pub async fn ensure(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    statement("SELECT ensure_month_partitions('messages', 3)").execute(conn).await.map(drop)
}

/// So many months after this one have a partition, without a gap. -1 when this month has none.
pub async fn months_ahead(conn: &mut AsyncPgConnection) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = sql_types::BigInt)]
        months: i64,
    }
    const SQL: &str = "\
        SELECT coalesce(min(n), 13) - 1 AS months FROM generate_series(0::bigint, 12) AS n \
         WHERE to_regclass('messages_' || to_char(date_trunc('month', loquent_now() AT TIME ZONE 'UTC') \
                                                  + n * interval '1 month', 'YYYY_MM')) IS NULL";
    let row: Row = statement(SQL).get_result(conn).await?;
    Ok(row.months)
}
