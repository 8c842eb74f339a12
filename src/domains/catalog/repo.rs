//! Queries of the catalogue.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, upsert::excluded};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::model::{CatalogRow, ModelRow, PlanRow, PriceRow, Version};
use crate::{
    platform::postgres::{now, only},
    schema::{catalogs, model_prices, models, plans},
};

/// The time of the database.
pub async fn read_now(conn: &mut AsyncPgConnection) -> QueryResult<DateTime<Utc>> {
    diesel::select(now()).get_result(conn).await
}

/// The catalogue in force.
pub async fn find_newest(conn: &mut AsyncPgConnection) -> QueryResult<Option<CatalogRow>> {
    let newest = catalogs::table.order(catalogs::version.desc());
    newest.select(CatalogRow::as_select()).first(conn).await.optional()
}

/// Newest first.
pub async fn list_versions(conn: &mut AsyncPgConnection, limit: i64) -> QueryResult<Vec<Version>> {
    let newest = catalogs::table.order(catalogs::version.desc()).limit(limit);
    newest.select(Version::as_select()).load(conn).await
}

pub async fn insert_catalog(conn: &mut AsyncPgConnection, row: &CatalogRow) -> QueryResult<()> {
    diesel::insert_into(catalogs::table).values(row).execute(conn).await.map(drop)
}

/// Every version of every plan: those on offer first, in their order.
pub async fn list_plans(conn: &mut AsyncPgConnection) -> QueryResult<Vec<PlanRow>> {
    let order = (plans::is_offered.desc(), plans::position, plans::key, plans::version.desc());
    plans::table.order(order).select(PlanRow::as_select()).load(conn).await
}

/// Takes every plan from the offer, before the new offer is made.
pub async fn withdraw_plans(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    diesel::update(plans::table.filter(plans::is_offered))
        .set((plans::is_offered.eq(false), plans::is_default.eq(false)))
        .execute(conn)
        .await
        .map(drop)
}

/// Offers a version; a version that is stored keeps its id and content.
pub async fn offer_plan(conn: &mut AsyncPgConnection, row: &PlanRow) -> QueryResult<()> {
    diesel::insert_into(plans::table)
        .values(row)
        .on_conflict((plans::key, plans::version))
        .do_update()
        .set((
            plans::is_offered.eq(true),
            plans::is_default.eq(excluded(plans::is_default)),
            plans::position.eq(excluded(plans::position)),
        ))
        .execute(conn)
        .await
        .map(drop)
}

pub async fn list_models(conn: &mut AsyncPgConnection) -> QueryResult<Vec<ModelRow>> {
    models::table.filter(models::is_enabled).order(models::key).select(ModelRow::as_select()).load(conn).await
}

/// The whole price book of the models that can be called, past and future.
pub async fn list_prices(conn: &mut AsyncPgConnection) -> QueryResult<Vec<PriceRow>> {
    model_prices::table
        .inner_join(models::table)
        .filter(models::is_enabled)
        .order(model_prices::valid_from)
        .select(PriceRow::as_select())
        .load(conn)
        .await
}

/// Stores a model under its key; returns the id it has, which stays.
pub async fn upsert_model(conn: &mut AsyncPgConnection, model: &ModelRow) -> QueryResult<Uuid> {
    diesel::insert_into(models::table)
        .values(model)
        .on_conflict(models::key)
        .do_update()
        .set((
            models::name.eq(excluded(models::name)),
            models::aliases.eq(excluded(models::aliases)),
            models::provider.eq(excluded(models::provider)),
            models::upstream_name.eq(excluded(models::upstream_name)),
            models::context_tokens.eq(excluded(models::context_tokens)),
            models::max_output_tokens.eq(excluded(models::max_output_tokens)),
            models::is_enabled.eq(true),
        ))
        .returning(models::id)
        .load(conn)
        .await
        .and_then(only)
}

/// Switches off every model whose key is not among these.
pub async fn disable_other_models(conn: &mut AsyncPgConnection, keys: &[&str]) -> QueryResult<()> {
    diesel::update(models::table.filter(models::key.ne_all(keys)))
        .set(models::is_enabled.eq(false))
        .execute(conn)
        .await
        .map(drop)
}

/// Prices of one model that are in force at `at` or begin later.
pub async fn list_open_prices(
    conn: &mut AsyncPgConnection,
    model_id: Uuid,
    at: DateTime<Utc>,
) -> QueryResult<Vec<PriceRow>> {
    model_prices::table
        .filter(model_prices::model_id.eq(model_id))
        .filter(model_prices::valid_to.is_null().or(model_prices::valid_to.gt(at)))
        .order((model_prices::unit, model_prices::valid_from))
        .select(PriceRow::as_select())
        .load(conn)
        .await
}

/// Takes a price out of the book that never was in force.
pub async fn delete_price(conn: &mut AsyncPgConnection, id: Uuid) -> QueryResult<()> {
    diesel::delete(model_prices::table.find(id)).execute(conn).await.map(drop)
}

/// Says when a price ends.
pub async fn end_price(conn: &mut AsyncPgConnection, id: Uuid, at: Option<DateTime<Utc>>) -> QueryResult<()> {
    diesel::update(model_prices::table.find(id))
        .set(model_prices::valid_to.eq(at))
        .execute(conn)
        .await
        .map(drop)
}

pub async fn insert_prices(conn: &mut AsyncPgConnection, rows: &[PriceRow]) -> QueryResult<()> {
    diesel::insert_into(model_prices::table).values(rows).execute(conn).await.map(drop)
}
