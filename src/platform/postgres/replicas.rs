//! Processes and their leases. Everything a process runs lives as long as the lease of its row, which the
//! flush of the stream log renews; a process whose lease ran out is fenced by another and can write nothing more.

use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::statement::statement;
use crate::schema::replicas;

/// Announces a process that starts, with a lease of `lease_ms` milliseconds.
pub async fn insert(conn: &mut AsyncPgConnection, id: Uuid, lease_ms: i64) -> QueryResult<()> {
    const SQL: &str = "INSERT INTO replicas (id, lease_until, version) \
                       VALUES (?, loquent_now() + ? * interval '1 millisecond', ?)";
    statement(SQL)
        .bind::<sql_types::Uuid, _>(id)
        .bind::<sql_types::BigInt, _>(lease_ms)
        .bind::<sql_types::Text, _>(env!("CARGO_PKG_VERSION"))
        .execute(conn)
        .await?;
    Ok(())
}

/// Says that a process ended cleanly and owns nothing any more.
pub async fn mark_drained(conn: &mut AsyncPgConnection, id: Uuid) -> QueryResult<()> {
    diesel::update(replicas::table.find(id))
        .set(replicas::drained_at.eq(super::now().nullable()))
        .execute(conn)
        .await?;
    Ok(())
}

/// Fences the other processes whose lease ran out; from here on they can write nothing.
pub async fn fence_dead(conn: &mut AsyncPgConnection, me: Uuid) -> QueryResult<Vec<Uuid>> {
    diesel::update(replicas::table)
        .filter(replicas::lease_until.lt(super::now()))
        .filter(replicas::fenced_at.is_null())
        .filter(replicas::drained_at.is_null())
        .filter(replicas::id.ne(me))
        .set(replicas::fenced_at.eq(super::now().nullable()))
        .returning(replicas::id)
        .get_results(conn)
        .await
}
