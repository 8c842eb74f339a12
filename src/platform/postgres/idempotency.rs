//! Idempotency keys: the first result of an operation, kept for 24 hours. The row is inserted in the transaction
//! of its effect, so a key exists exactly when the effect does; a concurrent twin waits on the primary key.

use diesel::{prelude::*, sql_types, upsert::excluded};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::statement::statement;
use crate::{
    error::{AppError, ErrorCode, Result},
    schema::idempotency_keys,
};

/// One intent of a caller: the key with the hash of everything else that was asked.
#[derive(Debug, Clone)]
pub struct Intent {
    pub operation: &'static str,
    pub key: String,
    pub request_hash: Vec<u8>,
}

impl Intent {
    /// `request` is the input without its key; equal inputs hash equally.
    pub fn try_new(operation: &'static str, key: String, request: &impl Serialize) -> Result<Self> {
        if !(8..=255).contains(&key.chars().count()) || key.contains('\0') {
            return Err(AppError::invalid(
                "idempotencyKey",
                "An idempotency key has 8 to 255 characters, and none of them is NUL.",
            ));
        }
        let json = serde_json::to_vec(request).map_err(AppError::internal)?;
        Ok(Self { operation, key, request_hash: Sha256::digest(json).to_vec() })
    }

    /// The stored result, if this is a repeat; another input under the same key is refused.
    pub fn replay<T: DeserializeOwned>(
        &self,
        stored: Option<(Vec<u8>, serde_json::Value)>,
    ) -> Result<Option<T>> {
        let Some((hash, result)) = stored else { return Ok(None) };
        if hash != self.request_hash {
            return Err(AppError::new(
                ErrorCode::IdempotencyKeyReused,
                "This idempotency key was used before with another input.",
            )
            .at("idempotencyKey"));
        }
        serde_json::from_value(result).map(Some).map_err(AppError::internal)
    }
}

/// Result and request hash stored under the key, unless it has expired.
pub async fn find(
    conn: &mut AsyncPgConnection,
    user_id: Uuid,
    intent: &Intent,
) -> QueryResult<Option<(Vec<u8>, serde_json::Value)>> {
    idempotency_keys::table
        .find((user_id, intent.operation, &intent.key))
        .filter(idempotency_keys::expires_at.gt(super::now()))
        .select((idempotency_keys::request_hash, idempotency_keys::result))
        .first(conn)
        .await
        .optional()
}

/// Removes expired keys, so many at most. A key that is taken over in the same moment stays: its row is judged again once
/// it is locked.
pub async fn prune(conn: &mut AsyncPgConnection, limit: i64) -> QueryResult<usize> {
    const SQL: &str = "\
        DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(\
          SELECT ctid FROM idempotency_keys WHERE expires_at <= loquent_now() ORDER BY expires_at LIMIT ?)) \
           AND expires_at <= loquent_now()";
    statement(SQL).bind::<sql_types::BigInt, _>(limit).execute(conn).await
}

/// Stores the result. False when a twin committed first: undo the effect and read the twin's result instead.
pub async fn insert(
    conn: &mut AsyncPgConnection,
    user_id: Uuid,
    intent: &Intent,
    result: serde_json::Value,
) -> QueryResult<bool> {
    use idempotency_keys::dsl;
    // An expired row is taken over; a live one updates nothing.
    let upsert = diesel::insert_into(idempotency_keys::table)
        .values((
            dsl::user_id.eq(user_id),
            dsl::operation.eq(intent.operation),
            dsl::key.eq(&intent.key),
            dsl::request_hash.eq(&intent.request_hash),
            dsl::result.eq(&result),
        ))
        .on_conflict((dsl::user_id, dsl::operation, dsl::key))
        .do_update()
        .set((
            dsl::request_hash.eq(excluded(dsl::request_hash)),
            dsl::result.eq(excluded(dsl::result)),
            dsl::created_at.eq(excluded(dsl::created_at)),
            dsl::expires_at.eq(excluded(dsl::expires_at)),
        ));
    let inserted = diesel::query_dsl::methods::FilterDsl::filter(upsert, dsl::expires_at.le(super::now()))
        .execute(conn)
        .await?;
    Ok(inserted == 1)
}
