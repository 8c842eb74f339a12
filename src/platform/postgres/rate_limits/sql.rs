//! The statements of rate limits.

use std::time::Duration;

use diesel::{QueryResult, QueryableByName, data_types::PgInterval, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{
    super::{only, statement::statement},
    limit::{Key, Kind, Limit},
    memory::{Grant, MARGIN, Wish},
};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = sql_types::Integer)]
    granted: i32,
    #[diesel(sql_type = sql_types::Integer)]
    free: i32,
    #[diesel(sql_type = sql_types::BigInt)]
    retry_us: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    reset_us: i64,
}

impl From<Row> for Grant {
    fn from(row: Row) -> Self {
        let whole = |number: i32| u32::try_from(number).unwrap_or(0);
        let time = |micros: i64| Duration::from_micros(u64::try_from(micros).unwrap_or(0));
        Self {
            granted: whole(row.granted),
            free: whole(row.free),
            retry: time(row.retry_us),
            reset: time(row.reset_us),
        }
    }
}

/// Asks for what is wished, in one statement.
pub(super) async fn ask(
    conn: &mut AsyncPgConnection,
    key: &Key,
    limit: &Limit,
    wish: Wish,
) -> QueryResult<Grant> {
    const TAKE: &str = "SELECT granted, free, retry_us, reset_us FROM rate_take(?, ?, ?, ?)";
    const SPEND: &str = "SELECT granted, free, retry_us, reset_us FROM rate_spend(?, ?, ?, ?, ?, ?)";
    let asked = match limit.kind {
        Kind::Sliding => statement(TAKE)
            .bind::<sql_types::Text, _>(&key.text)
            .bind::<sql_types::Integer, _>(whole(wish.most))
            .bind::<sql_types::Integer, _>(whole(limit.amount))
            .bind::<sql_types::Interval, _>(interval(limit.window + MARGIN)),
        Kind::Bucket => statement(SPEND)
            .bind::<sql_types::Text, _>(&key.text)
            .bind::<sql_types::Integer, _>(whole(wish.back))
            .bind::<sql_types::Integer, _>(whole(wish.least))
            .bind::<sql_types::Integer, _>(whole(wish.most))
            .bind::<sql_types::Integer, _>(whole(limit.amount))
            .bind::<sql_types::Interval, _>(interval(limit.window)),
    };
    asked.load::<Row>(conn).await.and_then(only).map(Grant::from)
}

/// Removes rows that say nothing any more, so many at most. One that is taken from in the same moment stays.
pub(super) async fn prune(conn: &mut AsyncPgConnection, limit: i64) -> QueryResult<usize> {
    const SQL: &str = "\
        DELETE FROM rate_limits WHERE ctid = ANY (ARRAY(\
          SELECT ctid FROM rate_limits WHERE full_at <= (SELECT loquent_now()) LIMIT ? FOR UPDATE SKIP LOCKED))";
    statement(SQL).bind::<sql_types::BigInt, _>(limit).execute(conn).await
}

fn whole(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn interval(time: Duration) -> PgInterval {
    PgInterval::from_microseconds(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}
