//! Queries of runs.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    dsl::{exists, not},
    prelude::*,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    domains::generations::{
        bounds,
        model::{Delta, GenerationRow, PartKind, Purpose},
    },
    platform::postgres::{
        listen::Channel,
        now,
        revisions::{Revision, Watched},
    },
    schema::{generations, members, messages, replicas, stream_events},
};

// Runs have no foreign key to their process, which would lock its row with every turn; so Diesel must be told.
diesel::allow_tables_to_appear_in_same_query!(generations, replicas);

/// The viewer's runs among `ids`.
pub async fn list_generations(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    ids: &[Uuid],
) -> QueryResult<Vec<GenerationRow>> {
    generations::table
        .filter(generations::id.eq_any(ids))
        .filter(generations::user_id.eq(viewer))
        .filter(generations::account_id.eq_any(accounts_of(viewer)))
        .select(GenerationRow::as_select())
        .load(conn)
        .await
}

/// Runs as things that are watched.
pub struct WatchedGenerations;

impl Watched for WatchedGenerations {
    const NAME: &'static str = "generations";
    const CHANNEL: Option<Channel> = Some(Channel::Generations);

    async fn list_revisions_unscoped(
        conn: &mut AsyncPgConnection,
        ids: &[Uuid],
    ) -> QueryResult<Vec<Revision>> {
        let rows: Vec<(Uuid, i32)> = generations::table
            .filter(generations::id.eq_any(ids))
            .select((generations::id, generations::revision))
            .load(conn)
            .await?;
        let revision =
            |(id, revision): (Uuid, i32)| Revision { id, revision: revision.into(), is_due: false };
        Ok(rows.into_iter().map(revision).collect())
    }
}

/// The viewer's runs that wrote these messages.
pub async fn list_generations_of_messages(
    conn: &mut AsyncPgConnection,
    viewer: Uuid,
    messages: &[Uuid],
) -> QueryResult<Vec<GenerationRow>> {
    generations::table
        .filter(generations::message_id.eq_any(messages))
        .filter(generations::user_id.eq(viewer))
        .filter(generations::account_id.eq_any(accounts_of(viewer)))
        .select(GenerationRow::as_select())
        .load(conn)
        .await
}

/// True when a run for the title of the conversation that began since then was settled.
pub async fn is_title_paid_unscoped(
    conn: &mut AsyncPgConnection,
    conversation_id: Uuid,
    since: DateTime<Utc>,
) -> QueryResult<bool> {
    let runs = generations::table
        .filter(generations::conversation_id.eq(conversation_id))
        .filter(generations::purpose.eq(Purpose::Title.as_str()))
        .filter(generations::created_at.ge(since))
        .filter(generations::usage_source.is_not_null());
    diesel::select(diesel::dsl::exists(runs)).get_result(conn).await
}

/// Asks an unfinished run of the viewer to stop; false when there is none.
pub async fn request_stop(conn: &mut AsyncPgConnection, viewer: Uuid, id: Uuid) -> QueryResult<bool> {
    let asked = diesel::update(generations::table)
        .filter(generations::id.eq(id))
        .filter(generations::user_id.eq(viewer))
        .filter(generations::account_id.eq_any(accounts_of(viewer)))
        .filter(generations::finished_at.is_null())
        .filter(generations::stop_requested_at.is_null())
        .set((
            generations::stop_requested_at.eq(now().nullable()),
            generations::revision.eq(generations::revision + 1),
        ))
        .execute(conn)
        .await?;
    Ok(asked == 1)
}

/// Unfinished runs whose process was fenced or ended, by id from the one after `after` on.
pub async fn list_orphans_unscoped(
    conn: &mut AsyncPgConnection,
    after: Uuid,
    limit: i64,
) -> QueryResult<Vec<GenerationRow>> {
    let gone = replicas::table
        .filter(replicas::fenced_at.is_not_null().or(replicas::drained_at.is_not_null()))
        .select(replicas::id);
    generations::table
        .filter(generations::finished_at.is_null())
        .filter(generations::replica_id.eq_any(gone))
        .filter(generations::id.gt(after))
        .order(generations::id)
        .limit(limit)
        .select(GenerationRow::as_select())
        .load(conn)
        .await
}

/// Unfinished runs of one process that were accepted at least so many seconds ago.
pub async fn list_stale_unscoped(
    conn: &mut AsyncPgConnection,
    replica_id: Uuid,
    seconds: i64,
    limit: i64,
) -> QueryResult<Vec<GenerationRow>> {
    let since = time_before(conn, TimeDelta::seconds(seconds)).await?;
    generations::table
        .filter(generations::finished_at.is_null())
        .filter(generations::replica_id.eq(replica_id))
        .filter(generations::created_at.lt(since))
        .order(generations::id)
        .limit(limit)
        .select(GenerationRow::as_select())
        .load(conn)
        .await
}

/// Removes one-shot answers that ended a day ago, so many at most; their runs stay, because they say what was paid. The
/// index of one-shot answers is read from its oldest end, past those that began a day ago and ended since: no more than
/// begin in the longest time of an answer.
pub async fn prune_one_shots(conn: &mut AsyncPgConnection, limit: i64) -> QueryResult<usize> {
    let until = time_before(conn, TimeDelta::hours(bounds::ONE_SHOT_HOURS)).await?;
    let is_kept = generations::table
        .filter(generations::message_id.eq(messages::id.nullable()))
        .filter(generations::finished_at.is_null().or(generations::finished_at.gt(until)));
    let over: Vec<Uuid> = messages::table
        .filter(messages::conversation_id.is_null())
        .filter(messages::created_at.le(until))
        .filter(not(exists(is_kept)))
        .order(messages::created_at)
        .limit(limit)
        .select(messages::id)
        .load(conn)
        .await?;
    diesel::delete(messages::table.filter(messages::id.eq_any(over))).execute(conn).await
}

/// Everything in the log of these messages, in order. The messages were read for the viewer before.
pub async fn list_events_unscoped(
    conn: &mut AsyncPgConnection,
    messages: &[Uuid],
) -> QueryResult<Vec<(Uuid, Delta)>> {
    let rows: Vec<(Uuid, i32, i16, String, String)> = stream_events::table
        .filter(stream_events::message_id.eq_any(messages))
        .order((stream_events::message_id, stream_events::sequence))
        .select((
            stream_events::message_id,
            stream_events::sequence,
            stream_events::part_index,
            stream_events::kind,
            stream_events::text,
        ))
        .load(conn)
        .await?;
    let event = |(id, sequence, part_index, kind, text): (Uuid, i32, i16, String, String)| {
        (id, Delta { sequence, part_index, kind: PartKind::parse(&kind), text })
    };
    Ok(rows.into_iter().map(event).collect())
}

#[diesel::dsl::auto_type]
fn accounts_of(viewer: Uuid) -> _ {
    members::table.filter(members::user_id.eq(viewer)).select(members::account_id)
}

/// The database's time so long ago.
async fn time_before(conn: &mut AsyncPgConnection, age: TimeDelta) -> QueryResult<DateTime<Utc>> {
    Ok(diesel::select(now()).get_result::<DateTime<Utc>>(conn).await? - age)
}
