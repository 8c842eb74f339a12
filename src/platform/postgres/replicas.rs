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

/// Fences the other processes whose lease ran out; from here on they can write nothing. Only a process whose own lease has
/// held for a whole lease without a gap does so: after an outage of the database every lease is over, and who was cut off
/// itself cannot tell the dead from the living.
pub async fn fence_dead(conn: &mut AsyncPgConnection, me: Uuid, lease_ms: i64) -> QueryResult<Vec<Uuid>> {
    #[derive(QueryableByName)]
    struct Fenced {
        #[diesel(sql_type = sql_types::Uuid)]
        id: Uuid,
    }
    const SQL: &str = "\
        UPDATE replicas r SET fenced_at = loquent_now() FROM replicas me \
         WHERE me.id = ? AND me.fenced_at IS NULL AND me.lease_until > loquent_now() \
           AND me.steady_since < loquent_now() - ? * interval '1 millisecond' \
           AND r.id <> me.id AND r.lease_until < loquent_now() AND r.fenced_at IS NULL AND r.drained_at IS NULL \
        RETURNING r.id";
    let fenced: Vec<Fenced> = statement(SQL)
        .bind::<sql_types::Uuid, _>(me)
        .bind::<sql_types::BigInt, _>(lease_ms)
        .load(conn)
        .await?;
    Ok(fenced.into_iter().map(|fenced| fenced.id).collect())
}

/// Removes the rows of processes that ended more than a day ago.
pub async fn prune(conn: &mut AsyncPgConnection) -> QueryResult<usize> {
    const SQL: &str = "\
        DELETE FROM replicas r WHERE r.lease_until < loquent_now() - interval '1 day' \
           AND (r.fenced_at IS NOT NULL OR r.drained_at IS NOT NULL) \
           AND NOT EXISTS (SELECT FROM generations g WHERE g.replica_id = r.id AND g.finished_at IS NULL) \
           AND NOT EXISTS (SELECT FROM jobs j WHERE j.owner_id = r.id AND j.state = 'running')";
    statement(SQL).execute(conn).await
}
