//! Revocations: what is trusted for a while in processes and must be trusted no more. The row is written in the
//! transaction that revokes; every process reads it within a second ([`super::news`]).

use diesel::{prelude::*, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Deserialize;
use uuid::Uuid;

use super::statement::statement;
use crate::schema::revocations;

/// Whose trust ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// One session.
    Session(Uuid),
    /// Everything a person had at that moment; what began later is good.
    User(Uuid),
}

/// A row as processes read it.
#[derive(Debug, Deserialize)]
pub(super) struct Revocation {
    pub(super) id: i64,
    subject_kind: String,
    subject_id: Uuid,
}

impl Revocation {
    /// `None` for a kind that only a newer version knows, which then has nothing to revoke here.
    pub(super) fn subject(&self) -> Option<Subject> {
        match self.subject_kind.as_str() {
            "session" => Some(Subject::Session(self.subject_id)),
            "user" => Some(Subject::User(self.subject_id)),
            _ => None,
        }
    }
}

/// Says it to all processes, as soon as the transaction is committed. That must be within thirty seconds from here.
pub async fn insert_in_tx(conn: &mut AsyncPgConnection, subject: Subject) -> QueryResult<()> {
    let (kind, id) = match subject {
        Subject::Session(id) => ("session", id),
        Subject::User(id) => ("user", id),
    };
    diesel::insert_into(revocations::table)
        .values((revocations::subject_kind.eq(kind), revocations::subject_id.eq(id)))
        .execute(conn)
        .await
        .map(drop)
}

/// Removes those of more than two hours ago, so many at most. No process believes anything for so long.
pub async fn prune(conn: &mut AsyncPgConnection, limit: i64) -> QueryResult<usize> {
    const SQL: &str = "\
        DELETE FROM revocations WHERE id IN (\
          SELECT id FROM revocations WHERE created_at < (SELECT loquent_now()) - interval '2 hours' LIMIT ?)";
    statement(SQL).bind::<sql_types::BigInt, _>(limit).execute(conn).await
}
