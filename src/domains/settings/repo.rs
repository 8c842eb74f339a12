//! Queries of settings.

use diesel::{prelude::*, upsert::excluded};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use super::model::SettingRow;
use crate::{platform::postgres::now, schema::settings};

/// Everything stored. Only keys that were once declared are, so there are few.
pub async fn list(conn: &mut AsyncPgConnection) -> QueryResult<Vec<SettingRow>> {
    settings::table.select(SettingRow::as_select()).load(conn).await
}

pub async fn upsert(conn: &mut AsyncPgConnection, key: &str, value: &Value) -> QueryResult<()> {
    diesel::insert_into(settings::table)
        .values((settings::key.eq(key), settings::value.eq(value)))
        .on_conflict(settings::key)
        .do_update()
        .set((settings::value.eq(excluded(settings::value)), settings::updated_at.eq(now())))
        .execute(conn)
        .await
        .map(drop)
}

pub async fn delete(conn: &mut AsyncPgConnection, key: &str) -> QueryResult<()> {
    diesel::delete(settings::table.find(key)).execute(conn).await.map(drop)
}
