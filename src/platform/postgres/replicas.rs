//! Processes and their leases. Everything a process runs lives as long as the lease of its row, which the
//! flush of the stream log renews; a process whose lease ran out is fenced by another and can write nothing more.
//!
//! A row is *alive* while its lease holds, *lost* when it does not and nobody has said so yet, *fenced* once another
//! process has, and *drained* after a clean end. Fenced and drained are final: a process that lives on takes a new row.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::statement::statement;
use crate::schema::replicas;

/// Longest name of a host that is stored.
const MAX_HOST: usize = 253;

/// A process as the database knows it.
#[derive(Debug, Clone, QueryableByName)]
pub struct ReplicaRow {
    #[diesel(sql_type = sql_types::Uuid)]
    pub id: Uuid,
    /// Name of its machine or container.
    #[diesel(sql_type = sql_types::Text)]
    pub host: String,
    #[diesel(sql_type = sql_types::Text)]
    pub version: String,
    #[diesel(sql_type = sql_types::Timestamptz)]
    pub started_at: DateTime<Utc>,
    /// Until its lease is over; negative since then.
    #[diesel(sql_type = sql_types::BigInt)]
    pub lease_left_ms: i64,
    /// `alive`, `lost`, `fenced` or `drained`.
    #[diesel(sql_type = sql_types::Text)]
    pub state: String,
    /// Answers that it has begun and nobody has ended.
    #[diesel(sql_type = sql_types::BigInt)]
    pub generations: i64,
    /// Jobs that it has claimed and nobody has ended or taken over.
    #[diesel(sql_type = sql_types::BigInt)]
    pub jobs: i64,
}

/// Announces a process that starts, with a lease of `lease_ms` milliseconds.
pub async fn insert(conn: &mut AsyncPgConnection, id: Uuid, lease_ms: i64) -> QueryResult<()> {
    const SQL: &str = "INSERT INTO replicas (id, lease_until, version, host) \
                       VALUES (?, loquent_now() + ? * interval '1 millisecond', ?, ?)";
    statement(SQL)
        .bind::<sql_types::Uuid, _>(id)
        .bind::<sql_types::BigInt, _>(lease_ms)
        .bind::<sql_types::Text, _>(env!("CARGO_PKG_VERSION"))
        .bind::<sql_types::Text, _>(host())
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

/// Processes whose lease holds.
pub async fn count_alive(conn: &mut AsyncPgConnection) -> QueryResult<i32> {
    #[derive(QueryableByName)]
    struct Alive {
        #[diesel(sql_type = sql_types::Integer)]
        n: i32,
    }
    const SQL: &str = "SELECT count(*)::int AS n FROM replicas \
                        WHERE lease_until > loquent_now() AND fenced_at IS NULL AND drained_at IS NULL";
    Ok(statement(SQL).get_result::<Alive>(conn).await?.n)
}

/// The newest `limit` processes, those that live first. What ended more than a day ago is gone.
pub async fn list(conn: &mut AsyncPgConnection, limit: i64) -> QueryResult<Vec<ReplicaRow>> {
    const SQL: &str = "\
        SELECT r.id, r.host, r.version, r.started_at, s.state, \
               (extract(epoch FROM r.lease_until - loquent_now()) * 1000)::bigint AS lease_left_ms, \
               (SELECT count(*) FROM generations g WHERE g.replica_id = r.id AND g.finished_at IS NULL) AS generations, \
               (SELECT count(*) FROM jobs j WHERE j.owner_id = r.id AND j.state = 'running') AS jobs \
          FROM replicas r, LATERAL (SELECT CASE WHEN r.drained_at IS NOT NULL THEN 'drained' \
                                                WHEN r.fenced_at IS NOT NULL THEN 'fenced' \
                                                WHEN r.lease_until < loquent_now() THEN 'lost' ELSE 'alive' END AS state) s \
         ORDER BY s.state <> 'alive', r.started_at DESC, r.id LIMIT ?";
    statement(SQL).bind::<sql_types::BigInt, _>(limit).load(conn).await
}

/// Name of this machine, or of the container, as the system gives it.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().chars().take(MAX_HOST).collect()
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
